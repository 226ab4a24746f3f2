"""Tables of customer access, notifications, delivery status and surveys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    false,
    text,
)

from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_
from shopbell.formats.channels import CHANNELS

SESSION_KINDS = ("widget", "page", "app")
AUDIENCES = ("customer", "store")
PURPOSES = ("reply", "invitation", "link", "welcome", "auto-reply", "survey", "store-notice")
OUTBOUND_STATES = ("waiting", "sent", "delivered", "read", "failed", "unknown", "skipped")
DELIVERY_STATES = ("queued", "sent", "delivered", "read", "failed")
SURVEY_KINDS = ("nps", "csat")
QUOTA_KINDS = ("organization", "customers", "address", "session")

publishable_keys = table(
    "publishable_keys",
    id_("organization_id"),
    id_("id"),
    Column("key", String(64), nullable=False),
    Column("business_id", BigInteger, nullable=True),
    text_("origins"),
    ms("created_at_ms"),
    ms("revoked_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("key"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Public keys that websites embed; they only give access to the widget. ``origins``: the sites that may use the key,
separated by spaces. ``business_id``: the only business of the key; NULL allows all of the organization."""

private_keys = table(
    "private_keys",
    id_("organization_id"),
    text_("sealed_key"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Keys with which an organization's backend signs app digests and identity tokens of its customers."""

used_nonces = table(
    "used_nonces",
    id_("organization_id"),
    Column("nonce_hash", String(64), nullable=False),
    ms("used_at_ms"),
    PrimaryKeyConstraint("organization_id", "nonce_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Nonces that were used; each is accepted once. They are kept as long as the private key that they were used with."""

external_identities = table(
    "external_identities",
    id_("organization_id"),
    text_("subject"),
    id_("customer_id"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "subject"),
    foreign_key("customers", "customer_id"),
    Index(None, "customer_id", "organization_id"),
)
"""The ids of customers in a site's backend (``sub`` of its identity tokens)."""

customer_sessions = table(
    "customer_sessions",
    id_("organization_id"),
    id_("id"),
    Column("kind", String(8), nullable=False),
    id_("customer_id"),
    Column("business_id", BigInteger, nullable=True),
    Column("thread_id", BigInteger, nullable=True),
    Column("token_hash", String(64), nullable=False),
    Column("verified", Boolean, nullable=False, server_default=false()),
    text_("email", nullable=True),
    text_("phone", nullable=True),
    text_("locale", nullable=True),
    ms("created_at_ms"),
    ms("expires_at_ms"),
    ms("revoked_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("token_hash"),
    foreign_key("customers", "customer_id"),
    one_of("kind", SESSION_KINDS),
    Index(None, "customer_id", "organization_id"),
    Index(None, "expires_at_ms"),
)
"""Browsers and apps of customers. A ``page`` sees one thread, a ``widget`` the customer's thread with one business, an
``app`` all threads of the customer. ``verified``: whether the identity is proven. ``email`` and ``phone``: the
identities with which the session started, in normal form; its messages refer to them."""

customer_links = table(
    "customer_links",
    id_("organization_id"),
    id_("id"),
    id_("thread_id"),
    Column("channel", String(16), nullable=False),
    text_("address", nullable=True),
    Column("token_hash", String(64), nullable=False),
    ms("created_at_ms"),
    ms("expires_at_ms"),
    ms("spent_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("token_hash"),
    foreign_key("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
    Index(None, "expires_at_ms"),
)
"""Single-use links to a conversation in emails and text messages. ``address``: the recipient."""

thread_reads = table(
    "thread_reads",
    id_("organization_id"),
    id_("thread_id"),
    Column("customer_sequence", Integer, nullable=False, server_default="0"),
    ms("customer_at_ms", nullable=True),
    Column("store_sequence", Integer, nullable=False, server_default="0"),
    ms("store_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    foreign_key("threads", "thread_id"),
)
"""The last message of a thread that the customer and the business have read."""

opt_outs = table(
    "opt_outs",
    id_("organization_id"),
    Column("channel", String(16), nullable=False),
    Column("address_hash", String(64), nullable=False),
    ms("at_ms"),
    PrimaryKeyConstraint("organization_id", "channel", "address_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Addresses that unsubscribed from a channel, as keyed hashes; opt-outs outlive the customer's erasure."""

notification_cursors = table(
    "notification_cursors",
    id_("organization_id"),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("organization_id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""The last event for which an organization's notifications were decided."""

notification_state = table(
    "notification_state",
    id_("organization_id"),
    id_("thread_id"),
    ms("invited_at_ms", nullable=True),
    Column("store_notified_sequence", Integer, nullable=True),
    Column("auto_replied_period", BigInteger, nullable=True),
    text_("mail_subject", nullable=True),
    text_("mail_header_id", nullable=True),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    foreign_key("threads", "thread_id"),
)
"""Which notifications a thread has caused so far.

``store_notified_sequence``: the message with which the store was notified that the customer waits, until it replies.
``auto_replied_period``: the closed period in which the customer got an automatic reply. ``mail_subject`` and
``mail_header_id``: of the customer's last email.
"""

outbound_messages = table(
    "outbound_messages",
    id_("organization_id"),
    id_("id"),
    id_("thread_id"),
    Column("channel", String(16), nullable=False),
    Column("audience", String(8), nullable=False),
    Column("purpose", String(16), nullable=False),
    text_("address", nullable=True),
    Column("first_sequence", Integer, nullable=True),
    Column("last_sequence", Integer, nullable=True),
    Column("survey_id", BigInteger, nullable=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    ms("due_at_ms"),
    Column("segments", Integer, nullable=True),
    text_("provider_id", nullable=True),
    ms("created_at_ms"),
    ms("settled_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    foreign_key("threads", "thread_id"),
    one_of("channel", CHANNELS),
    one_of("audience", AUDIENCES),
    one_of("purpose", PURPOSES),
    one_of("state", OUTBOUND_STATES),
    # A lease is a due time in the future; ``attempts`` is its fencing token.
    Index(
        "ix_outbound_messages_due",
        "due_at_ms",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(None, "thread_id", "organization_id", "id"),
    # Finds the customer who replies to a text message by phone number, across organizations.
    Index(
        "ix_outbound_messages_texted",
        "address",
        sqlite_where=text("channel IN ('SMS', 'WHATSAPP')"),
        postgresql_where=text("channel IN ('SMS', 'WHATSAPP')"),
    ),
    Index(
        "ix_outbound_messages_provider",
        "provider_id",
        sqlite_where=text("provider_id IS NOT NULL"),
        postgresql_where=text("provider_id IS NOT NULL"),
    ),
)
"""Emails and text messages, each with the messages from ``first_sequence`` to ``last_sequence`` of its thread.
``provider_id``: the provider's id."""

message_deliveries = table(
    "message_deliveries",
    id_("organization_id"),
    id_("message_id"),
    Column("channel", String(16), nullable=False),
    Column("audience", String(8), nullable=False),
    id_("thread_id"),
    Column("sequence", Integer, nullable=False),
    Column("outbound_message_id", BigInteger, nullable=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=True),
    ms("updated_at_ms"),
    PrimaryKeyConstraint("organization_id", "message_id", "channel", "audience"),
    foreign_key("threads", "thread_id"),
    one_of("channel", CHANNELS),
    one_of("audience", AUDIENCES),
    one_of("state", DELIVERY_STATES),
    Index(None, "thread_id", "sequence", "organization_id"),
    Index(None, "outbound_message_id", "organization_id"),
)
"""The delivery status of each message, one row per channel and audience."""

sms_usage = table(
    "sms_usage",
    id_("organization_id"),
    Column("day", Integer, nullable=False),
    Column("segments", Integer, nullable=False),
    PrimaryKeyConstraint("organization_id", "day"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""SMS segments that an organization sent per day (days since 1970, UTC)."""

throttles = table(
    "throttles",
    id_("organization_id"),
    Column("address_hash", String(64), nullable=False),
    ms("last_at_ms"),
    PrimaryKeyConstraint("organization_id", "address_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(None, "last_at_ms"),
)
"""Per phone number, the time of the last text message; per business, when its hourly email allowance is full again."""

upload_usage = table(
    "upload_usage",
    id_("organization_id"),
    Column("day", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("used_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("organization_id", "day", "kind", "subject"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    one_of("kind", QUOTA_KINDS),
    Index(None, "day"),
)
"""Bytes uploaded per day (days since 1970, UTC). ``subject``: the id of the session, the keyed hash of the network
address, or empty."""

mail_details = table(
    "mail_details",
    id_("organization_id"),
    id_("message_id"),
    id_("thread_id"),
    text_("sender", nullable=True),
    text_("sender_name", nullable=True),
    text_("subject", nullable=True),
    text_("full_text", nullable=True),
    Column("spf", String(16), nullable=True),
    Column("dkim", String(16), nullable=True),
    Column("dmarc", String(16), nullable=True),
    Column("foreign_sender", Boolean, nullable=False, server_default=false()),
    Column("automatic", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("organization_id", "message_id"),
    foreign_key("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
)
"""Details of messages that arrived by email: the mail server's verdicts and the full text. ``foreign_sender``: the
sender's address is not the thread's address."""

surveys = table(
    "surveys",
    id_("organization_id"),
    id_("id"),
    id_("thread_id"),
    id_("customer_id"),
    Column("kind", String(8), nullable=False),
    ms("asked_at_ms"),
    ms("answered_at_ms", nullable=True),
    Column("score", Integer, nullable=True),
    text_("comment", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    foreign_key("threads", "thread_id"),
    foreign_key("customers", "customer_id"),
    one_of("kind", SURVEY_KINDS),
    Index(None, "customer_id", "organization_id"),
    Index(None, "thread_id", "organization_id"),
)
"""Survey questions sent when a thread was resolved, and the answers."""
