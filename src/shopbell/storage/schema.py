"""All tables of Shopbell: those of people and conversations here, those of what follows from them in
``delivery_schema.py``, those of the customer's side in ``customer_schema.py``. The rules that they keep are in
``columns.py``."""

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

# Its tables are part of the same metadata.
from shopbell.storage import customer_schema as _customer_schema  # noqa: F401
from shopbell.storage import delivery_schema as _delivery_schema  # noqa: F401
from shopbell.storage.columns import id_, ms, of, one_of, table, text_
from shopbell.storage.columns import metadata as metadata

FIRST_ID = 12344
"""The first id given out. So the first organization's first business is 12345, the id in the documentation's
example."""

THREAD_STATUSES = ("waiting", "replied", "resolved")
CHANNELS = ("WEB", "EMAIL", "SMS", "WHATSAPP")
IDENTITY_KINDS = ("email", "phone")

installation = table(
    "installation",
    Column("name", String(64), primary_key=True),
    text_("value"),
)
"""Facts about this installation: the fingerprint of its secret key."""

organizations = table(
    "organizations",
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    text_("name"),
    ms("created_at_ms"),
    Column("keep_messages_days", Integer, nullable=True),
    Column("keep_events_days", Integer, nullable=True),
)
"""``keep_…_days``: older ones are deleted; absent, they are kept for ever."""

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
"""``invites_customers``: whether who writes first is sent a link to the conversation; ``tells_store``: whether new
conversations are mailed to ``email``; ``auto_replies``: whether customers are told when it is closed (``hours.py``
reads ``opening_hours``); ``survey``: what customers are asked when a thread is resolved, or nothing."""

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
"""API tokens; the token itself is kept nowhere, only its keyed hash and its last four characters. ``scopes``: separated
by spaces."""

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
"""``merged_into_id``: the customer that this one turned out to be; it keeps only what could not be moved there.
``unverified_…``: what a visitor said of himself, and nobody has confirmed: he is not known by it."""

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
    of("customers", "customer_id"),
    one_of("kind", IDENTITY_KINDS),
    # Not led by the organization: on a new table PostgreSQL would take its prefix for the way to an address.
    Index(None, "customer_id", "organization_id"),
)
"""What a customer is known by: ``value`` in normal form (of a phone number its key, ``identity.phone_key``), of which
an organization has at most one; ``shown`` as first sent; ``merge_id``: the merge that brought it to this customer,
which an undo takes back."""

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
"""Pairs of customers that may be one person, the smaller id first, for an employee to merge."""

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
    of("customers", "customer_id"),
    of("businesses", "business_id"),
    one_of("status", THREAD_STATUSES),
    one_of("channel", CHANNELS),
    Index(None, "organization_id", "business_id", "id"),
    # Not led by the organization, as that of ``customer_identities``.
    Index(None, "status", "organization_id", "id"),
    # Room in each page lets PostgreSQL change a row in place, without touching the indexes.
    postgresql_with={"fillfactor": 80},
)
"""One conversation per customer and business. ``last_sequence`` is taken under the row's lock and numbers its
messages; ``last_reply_sequence`` is that of the last message that an employee or a program let the customer see, 0 for
none; ``last_reply_author_id`` is who wrote it, an employee or the token of a program, and ``last_other_reply_sequence``
that of the last one by anybody else. ``last_email`` and ``last_phone`` are the identities that the customer's last
message named, in normal form: replies go there while they are still the customer's. A thread with no message at all
(``last_sequence`` 0) is one that a blocked customer opened: nobody sees it."""

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
    # No foreign keys on these three: SQLite can add none to a table that is there. Employees stay when they leave.
    Column("employee_id", BigInteger, nullable=True),
    Column("attachment_id", BigInteger, nullable=True),
    text_("content_sid", nullable=True),
    text_("external_id", nullable=True),
    Column("channel", String(16), nullable=True),
    PrimaryKeyConstraint("organization_id", "thread_id", "sequence"),
    UniqueConstraint("organization_id", "id"),
    of("threads", "thread_id"),
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
"""``employee_id``: who wrote it, or nobody where a program did; ``content_sid``: the template it was made from;
``external_id``: what a channel's provider, or the customer's own browser, calls it: a customer's message that comes
again with one is known by it; ``channel``: by which it came, or is to go; NULL is the web, or the thread's own."""

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
    of("customers", "customer_id"),
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
"""What blocked customers sent: kept apart, in nobody's sight. ``external_id``: as of messages."""

idempotency_keys = table(
    "idempotency_keys",
    id_("organization_id"),
    id_("token_id"),
    Column("route", String(64), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_hash", String(64), nullable=False),
    id_("result_id"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "token_id", "route", "key"),
    of("api_tokens", "token_id"),
    Index(None, "created_at_ms"),
)
"""Requests that were answered 200, for 24 hours; ``result_id`` is the id that the answer carried."""

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
"""Who changed what: ``actor`` such as ``command line``, ``action`` such as ``token.revoke``, ``subject`` such as
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
)
"""``email``: in normal form; of those who have not left, no two have the same."""

assignments = table(
    "assignments",
    id_("organization_id"),
    id_("thread_id"),
    id_("employee_id"),
    ms("assigned_at_ms"),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    of("threads", "thread_id"),
    of("employees", "employee_id"),
    Index(None, "organization_id", "employee_id"),
)
"""Which employee looks after a thread; a thread that is nobody's has no row."""

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
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("uuid"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(None, "organization_id", "created_at_ms"),
)
"""Files that messages may carry (``messages.attachment_id``); their bytes are in the attachment store, under the
organization's id and this ``uuid``. ``absent_since_ms``: while it is set, the file is not there for anybody: its bytes
are on their way into the store, or on their way out. So the store never holds what no row tells of."""

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
"""Customers that turned out to be one. What moved bears the merge's id; ``filled_fields``: which fields of the profile
came along, by name, separated by spaces."""
