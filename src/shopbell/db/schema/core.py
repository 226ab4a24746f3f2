"""Tables of organizations, customers, employees and conversations.

``webhooks.py`` and ``customers.py`` have the other tables; ``columns.py`` has the rules for all of them.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    false,
    text,
    true,
)

# These imports register the other tables in the same metadata.
from shopbell.db.schema import accounts as _account_schema  # noqa: F401
from shopbell.db.schema import customers as _customer_schema  # noqa: F401
from shopbell.db.schema import imports as _import_schema  # noqa: F401
from shopbell.db.schema import inbox as _inbox_schema  # noqa: F401
from shopbell.db.schema import inbox_actions as _inbox_action_schema  # noqa: F401
from shopbell.db.schema import inbox_tools as _inbox_tools_schema  # noqa: F401
from shopbell.db.schema import web_push as _push_schema  # noqa: F401
from shopbell.db.schema import webhooks as _delivery_schema  # noqa: F401
from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_
from shopbell.db.schema.columns import metadata as metadata
from shopbell.formats.channels import CHANNELS, IDENTITY_KINDS

FIRST_ID = 12344
"""The first id. So the first business of the first organization is 12345, as in the documentation's examples."""

THREAD_STATUSES = ("waiting", "replied", "resolved")

installation = table(
    "installation",
    Column("name", String(64), primary_key=True),
    text_("value"),
)
"""Facts about this installation, such as the fingerprint of its secret key (``db/installation.py``)."""

organizations = table(
    "organizations",
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    text_("name"),
    ms("created_at_ms"),
    Column("keep_messages_days", Integer, nullable=True),
    Column("keep_events_days", Integer, nullable=True),
    Column("requires_second_factor", Boolean, nullable=False, server_default=false()),
)
"""``keep_…_days``: older data is deleted; NULL keeps it forever."""

businesses = table(
    "businesses",
    id_("organization_id"),
    id_("id"),
    text_("name"),
    text_("locale"),
    text_("default_region", nullable=True),
    text_("time_zone"),
    text_("email", nullable=True),
    text_("phone_number", nullable=True),
    text_("voice_forward_number", nullable=True),
    ms("created_at_ms"),
    ms("deactivated_at_ms", nullable=True),
    Column("invites_customers", Boolean, nullable=False, server_default=true()),
    Column("tells_store", Boolean, nullable=False, server_default=true()),
    Column("auto_replies", Boolean, nullable=False, server_default=true()),
    text_("opening_hours", nullable=True),
    Column("survey", String(8), nullable=True),
    Column("brand_color", String(7), nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""``invites_customers``: whether new customers get a link to the conversation. ``tells_store``: whether ``email`` is
notified of new conversations. ``auto_replies``: whether customers get an automatic reply outside of ``opening_hours``
(``organizations/opening_hours.py``). ``survey``: the survey sent when a thread is resolved, or NULL."""

api_tokens = table(
    "api_tokens",
    id_("organization_id"),
    id_("id"),
    text_("name"),
    Column("token_hash", String(64), nullable=False),
    Column("hint", String(4), nullable=False),
    text_("scopes"),
    ms("created_at_ms"),
    ms("last_used_at_ms", nullable=True),
    ms("expires_at_ms", nullable=True),
    ms("revoked_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("token_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""API tokens, stored as a keyed hash and the last four characters. ``scopes``: separated by spaces."""

customers = table(
    "customers",
    id_("organization_id"),
    id_("id"),
    text_("locale", nullable=True),
    text_("first_name", nullable=True),
    text_("last_name", nullable=True),
    text_("company", nullable=True),
    text_("unverified_email", nullable=True),
    text_("unverified_phone", nullable=True),
    ms("created_at_ms"),
    ms("blocked_at_ms", nullable=True),
    ms("erased_at_ms", nullable=True),
    Column("merged_into_id", BigInteger, nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(
        "ix_customers_merged_into",
        "organization_id",
        "merged_into_id",
        sqlite_where=text("merged_into_id IS NOT NULL"),
        postgresql_where=text("merged_into_id IS NOT NULL"),
    ),
)
"""``merged_into_id``: the customer into which this one was merged; this row keeps only what could not move there.
``unverified_…``: contact data that a visitor entered and did not confirm; it does not identify the customer."""

customer_identities = table(
    "customer_identities",
    id_("organization_id"),
    Column("kind", String(16), nullable=False),
    text_("value"),
    id_("customer_id"),
    text_("shown"),
    ms("created_at_ms"),
    Column("merge_id", BigInteger, nullable=True),
    PrimaryKeyConstraint("organization_id", "kind", "value"),
    foreign_key("customers", "customer_id"),
    one_of("kind", tuple(dict.fromkeys(IDENTITY_KINDS.values()))),
    # Does not start with the organization: on a new table, PostgreSQL would use that prefix to find an identity.
    Index(None, "customer_id", "organization_id"),
)
"""Email addresses and phone numbers that identify customers. ``value``: the normal form (for a phone number its
``identities.phone_key``), unique in an organization. ``shown``: as first received. ``merge_id``: the merge that moved
it to this customer; an undo moves it back."""

possible_duplicates = table(
    "possible_duplicates",
    id_("organization_id"),
    id_("customer_id"),
    id_("other_customer_id"),
    ms("found_at_ms"),
    PrimaryKeyConstraint("organization_id", "customer_id", "other_customer_id"),
    ForeignKeyConstraint(
        ["organization_id", "customer_id"],
        ["customers.organization_id", "customers.id"],
        name="fk_possible_duplicates_customer",
    ),
    ForeignKeyConstraint(
        ["organization_id", "other_customer_id"],
        ["customers.organization_id", "customers.id"],
        name="fk_possible_duplicates_other_customer",
    ),
    CheckConstraint("customer_id < other_customer_id", name="ordered"),
    Index(None, "organization_id", "other_customer_id"),
)
"""Pairs of customers that may be the same person, lower id first; employees decide whether to merge them."""

threads = table(
    "threads",
    id_("organization_id"),
    id_("id"),
    id_("customer_id"),
    id_("business_id"),
    Column("channel", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("last_sequence", Integer, nullable=False),
    ms("created_at_ms"),
    ms("updated_at_ms"),
    Column("last_reply_sequence", Integer, nullable=False, server_default="0"),
    Column("last_reply_author_id", BigInteger, nullable=True),
    Column("last_other_reply_sequence", Integer, nullable=False, server_default="0"),
    ms("last_customer_message_at_ms", nullable=True),
    Column("merge_id", BigInteger, nullable=True),
    text_("last_email", nullable=True),
    text_("last_phone", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "customer_id", "business_id"),
    foreign_key("customers", "customer_id"),
    foreign_key("businesses", "business_id"),
    one_of("status", THREAD_STATUSES),
    one_of("channel", CHANNELS),
    Index(None, "organization_id", "business_id", "id"),
    # Does not start with the organization, for the same reason as in ``customer_identities``.
    Index(None, "status", "organization_id", "id"),
    # Free space in each page lets PostgreSQL update a row without updating the indexes (HOT).
    postgresql_with={"fillfactor": 80},
)
"""One conversation per customer and business.

- ``last_sequence``: numbers the messages; incremented under the row's lock. 0 if a blocked customer opened the thread:
  it has no messages and is never shown.
- ``last_reply_sequence``: the last message from an employee or API token that the customer can see; 0 if none.
- ``last_reply_author_id``: its author, an employee or an API token.
- ``last_other_reply_sequence``: the last such message from another author.
- ``last_email``, ``last_phone``: the identities of the customer's last message, in normal form. Replies go there while
  they still belong to the customer."""

messages = table(
    "messages",
    id_("organization_id"),
    id_("thread_id"),
    Column("sequence", Integer, nullable=False),
    id_("id"),
    Column("from_customer", Boolean, nullable=False),
    Column("internal", Boolean, nullable=False, server_default=false()),
    text_("body"),
    ms("created_at_ms"),
    # No foreign keys on these columns: SQLite cannot add them to an existing table. Employees are never deleted.
    Column("employee_id", BigInteger, nullable=True),
    Column("attachment_id", BigInteger, nullable=True),
    text_("content_sid", nullable=True),
    text_("external_id", nullable=True),
    Column("channel", String(16), nullable=True),
    # In the order of their ids, new messages share a page on SQLite. In the order of their threads, each has its own.
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "thread_id", "sequence"),
    foreign_key("threads", "thread_id"),
    CheckConstraint("sequence > 0", name="sequence_positive"),
    Index(
        "ix_messages_attachment",
        "organization_id",
        "attachment_id",
        sqlite_where=text("attachment_id IS NOT NULL"),
        postgresql_where=text("attachment_id IS NOT NULL"),
    ),
    Index(
        "ix_messages_external",
        "organization_id",
        "thread_id",
        "external_id",
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
)
"""``employee_id``: the author; NULL if a program wrote the message. ``content_sid``: the template of the message.
``external_id``: the id from the channel's provider or the customer's browser; detects repeated messages of customers.
``channel``: the channel of the message; NULL means the web, or the channel of the thread."""

blocked_messages = table(
    "blocked_messages",
    id_("organization_id"),
    id_("id"),
    id_("customer_id"),
    id_("business_id"),
    text_("body"),
    ms("created_at_ms"),
    text_("external_id", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    foreign_key("customers", "customer_id"),
    Index(None, "customer_id", "organization_id"),
    Index(
        "ix_blocked_messages_external",
        "organization_id",
        "customer_id",
        "external_id",
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
)
"""Messages from blocked customers; they are never shown. ``external_id``: as in ``messages``."""

idempotency_keys = table(
    "idempotency_keys",
    id_("organization_id"),
    id_("caller_id"),
    Column("route", String(64), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_hash", String(64), nullable=False),
    id_("result_id"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "caller_id", "route", "key"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(None, "created_at_ms"),
)
"""Requests of the last 24 hours that got a 200 response. ``caller_id``: the token, or the employee who is signed in.
``result_id``: the id in the response."""

audit_entries = table(
    "audit_entries",
    id_("organization_id"),
    id_("id"),
    ms("at_ms"),
    text_("actor"),
    text_("action"),
    text_("subject"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Who changed what: for example ``actor`` = ``command line``, ``action`` = ``token.revoke``, ``subject`` =
``token 12``."""

employees = table(
    "employees",
    id_("organization_id"),
    id_("id"),
    text_("name"),
    text_("email", nullable=True),
    ms("created_at_ms"),
    ms("deactivated_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(
        "ix_employees_active_email",
        "organization_id",
        "email",
        unique=True,
        sqlite_where=text("deactivated_at_ms IS NULL"),
        postgresql_where=text("deactivated_at_ms IS NULL"),
    ),
    # Does not start with the organization: an employee who signs in names none.
    Index(None, "email", "organization_id"),
)
"""``email``: in normal form, unique among active employees."""

assignments = table(
    "assignments",
    id_("organization_id"),
    id_("thread_id"),
    id_("employee_id"),
    ms("assigned_at_ms"),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    foreign_key("threads", "thread_id"),
    foreign_key("employees", "employee_id"),
    Index(None, "organization_id", "employee_id"),
)
"""The employee assigned to a thread; an unassigned thread has no row."""

templates = table(
    "templates",
    id_("organization_id"),
    id_("id"),
    text_("title"),
    text_("text"),
    Column("content_sid", String(64), nullable=False),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "content_sid"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)

attachments = table(
    "attachments",
    id_("organization_id"),
    id_("id"),
    Column("uuid", String(36), nullable=False),
    text_("name"),
    text_("content_type"),
    Column("length_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    ms("created_at_ms"),
    ms("absent_since_ms", nullable=True),
    Column("uploader_id", BigInteger, nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("uuid"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(None, "organization_id", "created_at_ms"),
)
"""Files of messages (``messages.attachment_id``). The attachment store has their bytes under the organization's id and
this ``uuid``. ``absent_since_ms``: while set, the file is not available because its bytes are being stored or deleted.
So the store never contains a file without a row. ``uploader_id``: the employee or API token
who uploaded it; NULL for a customer."""

customer_merges = table(
    "customer_merges",
    id_("organization_id"),
    id_("id"),
    id_("kept_customer_id"),
    id_("merged_customer_id"),
    text_("filled_fields"),
    ms("created_at_ms"),
    ms("undone_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "kept_customer_id"],
        ["customers.organization_id", "customers.id"],
        name="fk_customer_merges_kept_customer",
    ),
    ForeignKeyConstraint(
        ["organization_id", "merged_customer_id"],
        ["customers.organization_id", "customers.id"],
        name="fk_customer_merges_merged_customer",
    ),
    Index(None, "organization_id", "merged_customer_id"),
)
"""Merges of two customers. Rows that moved contain the merge's id. ``filled_fields``: the names of the profile fields
that were copied, separated by spaces."""
