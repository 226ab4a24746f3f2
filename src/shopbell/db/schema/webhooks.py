"""Tables of events, webhooks and deliveries."""

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

from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_

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
"""The position of each organization's last event. A transaction takes positions under this row's lock, which it
acquires after all its other locks. So positions follow the order of commits, and a reader that has read up to a
position has missed no event before it. ``customer_changes`` counts merges, blocks and erasures: if it changes, a batch
of messages must look up its customers again."""

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
    Column("actor_type", String(8), nullable=True),
    Column("actor_id", BigInteger, nullable=True),
    PrimaryKeyConstraint("organization_id", "position"),
    # Without the events of messages, which are by far the most frequent: the hot path must not write to this index.
    Index(
        "ix_events_of_thread",
        "thread_id",
        "organization_id",
        "position",
        sqlite_where=text("message_id IS NULL"),
        postgresql_where=text("message_id IS NULL"),
    ),
)
"""Everything that happened, written in the transaction of the change. Webhooks, emails and live streams derive from it.
``actor_…``: who did it (``events/actors.py``); NULL for the customer.
Events refer to rows and copy none, so that erased data is erased here too. ``details``: extra fields of an event type
as JSON, never personal data."""

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
"""Receivers of events. ``sealed_…``: encrypted. ``failures``: failed attempts since the last success. ``is_push``: the
organization's push URL (``webhooks/push_urls.py``), with the payload ``ipns``. ``disabled_reason``: set if Shopbell
disabled the webhook; new deliveries are then still created, but wait."""

webhook_subscriptions = table(
    "webhook_subscriptions",
    id_("organization_id"),
    Column("topic", String(16), nullable=False),
    id_("webhook_id"),
    PrimaryKeyConstraint("organization_id", "topic", "webhook_id"),
    foreign_key("webhooks", "webhook_id"),
    one_of("topic", WEBHOOK_TOPICS),
)
"""The topics for which a webhook gets deliveries, if it is enabled or Shopbell disabled it."""

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
"""One event for one webhook.

- ``attempts``: all attempts; identifies late responses.
- ``step``: attempts of the current schedule with a known outcome; a replay resets it.
- ``body``: created at the first attempt and immutable. It is deleted, with the logged responses, when its message is.
  The index of a thread's deliveries contains only rows with a body, so that inserting a message does not write to it.
- ``first_attempt_at_ms``: start of the time for which later deliveries wait; a replay sets it to NULL."""

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
"""A thread's unsettled deliveries to a webhook. One row with ``background`` 0 refers to the first delivery, however
many wait behind it. Its ``position`` is 0 while those to come must wait for a failing delivery, until it is due. Each
delivery that no longer blocks the others has a row of its own, whose ``background`` is its position. A lease is a due
time in the future. Deliveries leased with the same ``slot`` are sent one after another; the slot has no meaning after
the lease."""

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
"""The outcome of each attempt: a status or error class, and the start of the response body."""
