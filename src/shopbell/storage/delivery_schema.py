"""The tables of what follows from a change: the feed of events, webhooks, and what is delivered to them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    false,
    text,
)

from shopbell.storage.columns import id_, ms, of, one_of, table, text_

WEBHOOK_TOPICS = ("messages", "transfers", "deliveries")
PAYLOAD_VERSIONS = ("envelope", "flat")
DELIVERY_STATES = ("waiting", "delivered", "exhausted", "skipped")
DISABLED_REASONS = ("failing", "gone")

feeds = table(
    "feeds",
    Column("organization_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_position", BigInteger, nullable=False),
    Column("customer_changes", BigInteger, nullable=False, server_default="0"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    postgresql_with={"fillfactor": 20},
)
"""The place of each organization's last event. It is taken under this row's lock, after all other locks of a
transaction, and so in the order of commits: who has read up to a place has missed nothing before it.
``customer_changes`` counts the merges, blocks and erasures: a batch of messages that looked its customers up before one
of them sees here that it must look again."""

events = table(
    "events",
    id_("organization_id"),
    id_("position"),
    Column("type", String(32), nullable=False),
    Column("business_id", BigInteger, nullable=True),
    Column("customer_id", BigInteger, nullable=True),
    Column("thread_id", BigInteger, nullable=True),
    Column("thread_sequence", Integer, nullable=True),
    Column("message_id", BigInteger, nullable=True),
    text_("details", nullable=True),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "position"),
)
"""What has happened, written in the transaction in which it happened: webhooks, mails and live streams derive from it.
It names rows and copies none, so that what is erased there is erased. ``details``: what a type has beside, as JSON,
never anything personal."""

webhooks = table(
    "webhooks",
    id_("organization_id"),
    id_("id"),
    text_("url"),
    Column("enabled", Boolean, nullable=False),
    text_("topics"),
    Column("payload_version", String(16), nullable=False),
    text_("sealed_extra_headers", nullable=True),
    text_("sealed_secret"),
    text_("sealed_old_secret", nullable=True),
    ms("old_secret_expires_at_ms", nullable=True),
    ms("created_at_ms"),
    ms("failing_since_ms", nullable=True),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("disabled_reason", String(16), nullable=True),
    ms("deleted_at_ms", nullable=True),
    Column("is_push", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    one_of("payload_version", PAYLOAD_VERSIONS),
    one_of("disabled_reason", DISABLED_REASONS),
)
"""Who is told of events. ``sealed_…`` are encrypted. ``failures`` counts failed attempts since the last success.
``is_push``: the push URL of the organization (``push_urls.py``), whose payload is ``ipns``.
``disabled_reason`` is set when Shopbell itself switched it off: its deliveries go on to be made, and are held."""

webhook_subscriptions = table(
    "webhook_subscriptions",
    id_("organization_id"),
    Column("topic", String(16), nullable=False),
    id_("webhook_id"),
    PrimaryKeyConstraint("organization_id", "topic", "webhook_id"),
    of("webhooks", "webhook_id"),
    one_of("topic", WEBHOOK_TOPICS),
)
"""For which topics deliveries are made for which webhook: of one that is enabled, or that Shopbell switched off."""

deliveries = table(
    "deliveries",
    id_("organization_id"),
    id_("webhook_id"),
    id_("position"),
    id_("thread_id"),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("step", Integer, nullable=False, server_default="0"),
    ms("first_attempt_at_ms", nullable=True),
    Column("payload_version", String(16), nullable=True),
    text_("body", nullable=True),
    ms("created_at_ms"),
    ms("settled_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "webhook_id", "position"),
    one_of("state", DELIVERY_STATES),
    Index(
        "ix_deliveries_unsettled",
        "webhook_id",
        "thread_id",
        "position",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "ix_deliveries_failed",
        "webhook_id",
        "state",
        "position",
        sqlite_where=text("state IN ('exhausted', 'skipped')"),
        postgresql_where=text("state IN ('exhausted', 'skipped')"),
    ),
    Index(
        "ix_deliveries_with_body",
        "organization_id",
        "thread_id",
        "created_at_ms",
        sqlite_where=text("body IS NOT NULL"),
        postgresql_where=text("body IS NOT NULL"),
    ),
)
"""One event for one webhook. ``attempts`` counts all and is what a late answer is recognised by; ``step`` counts those
of the present schedule whose outcome is known, which a replay begins anew. ``body`` is made at the first attempt and
never changes after; it goes, and what was answered with it, when its message does. A thread's deliveries are found by
an index of those that have a body: a new one is not in it, so that messages do not pay for it. Until when others wait
is reckoned from ``first_attempt_at_ms``: a replay sets it to NULL."""

delivery_queues = table(
    "delivery_queues",
    id_("organization_id"),
    id_("webhook_id"),
    id_("thread_id"),
    id_("background"),
    id_("position"),
    ms("due_at_ms"),
    ms("leased_until_ms", nullable=True),
    Column("slot", BigInteger, nullable=True),
    PrimaryKeyConstraint("organization_id", "webhook_id", "thread_id", "background"),
    Index(None, "webhook_id", "due_at_ms"),
    Index(
        "ix_delivery_queues_leased",
        "leased_until_ms",
        sqlite_where=text("leased_until_ms IS NOT NULL"),
        postgresql_where=text("leased_until_ms IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 70},
)
"""Where a thread's unsettled deliveries to a webhook stand: one row, which names the first of them, however many wait
behind it (``background`` 0); and one for each that no longer holds up the others (``background`` is its position). A
lease is a due time in the future. Those leased with one ``slot`` are sent one after the other; the number says nothing
once the lease is over."""

delivery_attempts = table(
    "delivery_attempts",
    id_("organization_id"),
    id_("webhook_id"),
    id_("position"),
    Column("number", Integer, nullable=False),
    ms("at_ms"),
    Column("duration_ms", Integer, nullable=False),
    Column("status", Integer, nullable=True),
    Column("error", String(32), nullable=True),
    text_("answer", nullable=True),
    PrimaryKeyConstraint("organization_id", "webhook_id", "position", "number"),
)
"""What came of each attempt: a status or a class of error, and how the answer began."""
