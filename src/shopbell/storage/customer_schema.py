"""The tables of the customer's side: who may look into a conversation, what is sent to whom, and what came of it."""

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

from shopbell.storage.columns import id_, ms, of, one_of, table, text_

SESSION_KINDS = ("widget", "page", "app")
AUDIENCES = ("customer", "store")
PURPOSES = ("reply", "invitation", "link", "welcome", "auto-reply", "survey", "store-notice")
DISPATCH_STATES = ("waiting", "sent", "delivered", "read", "failed", "unknown", "skipped")
DELIVERY_STATES = ("queued", "sent", "delivered", "read", "failed")
DELIVERY_CHANNELS = ("WEB", "EMAIL", "SMS", "WHATSAPP")
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
"""What a website shows to everybody: no secret, and good only for its widget. ``origins``: the sites that may use it,
separated by spaces; ``business_id``: the only business it is for, or any of the organization."""

private_keys = table(
    "private_keys",
    id_("organization_id"),
    text_("sealed_key"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""With which an organization's own backend vouches for its customers: digests of apps, and identity tokens."""

used_nonces = table(
    "used_nonces",
    id_("organization_id"),
    Column("nonce_hash", String(64), nullable=False),
    ms("used_at_ms"),
    PrimaryKeyConstraint("organization_id", "nonce_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Nonces are accepted once. They are kept as long as the private key that they were used with."""

external_identities = table(
    "external_identities",
    id_("organization_id"),
    text_("subject"),
    id_("customer_id"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "subject"),
    of("customers", "customer_id"),
    Index(None, "customer_id", "organization_id"),
)
"""What a site's backend calls a customer (``sub`` of its identity tokens)."""

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
    of("customers", "customer_id"),
    one_of("kind", SESSION_KINDS),
    Index(None, "customer_id", "organization_id"),
    Index(None, "expires_at_ms"),
)
"""Browsers and apps of customers. A ``page`` sees one thread, a ``widget`` the customer's thread with one business, an
``app`` all of the customer's. ``verified``: whether the identity is proved. ``email`` and ``phone``: the
identities that the session began with, in normal form: its messages name them."""

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
    of("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
    Index(None, "expires_at_ms"),
)
"""Links in mails and texts that lead to a conversation, once. ``address``: where it was sent."""

thread_reads = table(
    "thread_reads",
    id_("organization_id"),
    id_("thread_id"),
    Column("customer_sequence", Integer, nullable=False, server_default="0"),
    ms("customer_at_ms", nullable=True),
    Column("store_sequence", Integer, nullable=False, server_default="0"),
    ms("store_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    of("threads", "thread_id"),
)
"""Up to which message a thread's two sides have read."""

opt_outs = table(
    "opt_outs",
    id_("organization_id"),
    Column("channel", String(16), nullable=False),
    Column("address_hash", String(64), nullable=False),
    ms("at_ms"),
    PrimaryKeyConstraint("organization_id", "channel", "address_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Who wants nothing more by a channel. Only a keyed hash of the address: the wish outlives the customer."""

outreach_cursors = table(
    "outreach_cursors",
    id_("organization_id"),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("organization_id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""Up to which event of its feed an organization's mails and texts are decided."""

thread_outreach = table(
    "thread_outreach",
    id_("organization_id"),
    id_("thread_id"),
    ms("invited_at_ms", nullable=True),
    Column("store_told_sequence", Integer, nullable=True),
    Column("auto_replied_period", BigInteger, nullable=True),
    text_("mail_subject", nullable=True),
    text_("mail_header_id", nullable=True),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    of("threads", "thread_id"),
)
"""What has been said to whom about a thread. ``store_told_sequence``: the message with which the store was told that
the customer waits, until somebody answers; ``auto_replied_period``: for which closed period he was told so;
``mail_subject`` and ``mail_header_id``: of the customer's last mail."""

dispatches = table(
    "dispatches",
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
    of("threads", "thread_id"),
    one_of("channel", DELIVERY_CHANNELS),
    one_of("audience", AUDIENCES),
    one_of("purpose", PURPOSES),
    one_of("state", DISPATCH_STATES),
    # A lease is a due time in the future; ``attempts`` is its fence.
    Index(
        "ix_dispatches_due",
        "due_at_ms",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(None, "thread_id", "organization_id", "id"),
    # Whoever answers a text is found by his number, of whichever organization he is.
    Index(
        "ix_dispatches_texted",
        "address",
        sqlite_where=text("channel IN ('SMS', 'WHATSAPP')"),
        postgresql_where=text("channel IN ('SMS', 'WHATSAPP')"),
    ),
    Index(
        "ix_dispatches_provider",
        "provider_id",
        sqlite_where=text("provider_id IS NOT NULL"),
        postgresql_where=text("provider_id IS NOT NULL"),
    ),
)
"""One thing that is sent: a mail or a text, with the messages from ``first_sequence`` to ``last_sequence`` of its
thread. ``provider_id``: what the provider calls it."""

message_deliveries = table(
    "message_deliveries",
    id_("organization_id"),
    id_("message_id"),
    Column("channel", String(16), nullable=False),
    Column("audience", String(8), nullable=False),
    id_("thread_id"),
    Column("sequence", Integer, nullable=False),
    Column("dispatch_id", BigInteger, nullable=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=True),
    ms("updated_at_ms"),
    PrimaryKeyConstraint("organization_id", "message_id", "channel", "audience"),
    of("threads", "thread_id"),
    one_of("channel", DELIVERY_CHANNELS),
    one_of("audience", AUDIENCES),
    one_of("state", DELIVERY_STATES),
    Index(None, "thread_id", "sequence", "organization_id"),
    Index(None, "dispatch_id", "organization_id"),
)
"""How a message reached somebody: one row for each way that it took."""

text_counts = table(
    "text_counts",
    id_("organization_id"),
    Column("day", Integer, nullable=False),
    Column("segments", Integer, nullable=False),
    PrimaryKeyConstraint("organization_id", "day"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""What an organization's texts of a day (days since 1970, UTC) cost, in segments."""

text_recipients = table(
    "text_recipients",
    id_("organization_id"),
    Column("address_hash", String(64), nullable=False),
    ms("last_at_ms"),
    PrimaryKeyConstraint("organization_id", "address_hash"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(None, "last_at_ms"),
)
"""When a number was last sent a text; of a business, when all mails of an hour may go to it at once again."""

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
"""How many bytes of files arrived on a day (days since 1970, UTC). ``subject``: the session's id, the keyed hash of the
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
    of("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
)
"""Of a message that came by mail: what the receiving server found, and the whole text. ``foreign_sender``: it came from
another address than the thread's own."""

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
    of("threads", "thread_id"),
    of("customers", "customer_id"),
    one_of("kind", SURVEY_KINDS),
    Index(None, "customer_id", "organization_id"),
    Index(None, "thread_id", "organization_id"),
)
"""Questions that customers were asked when a thread was resolved, and what they answered."""
