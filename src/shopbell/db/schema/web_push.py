"""Tables of push notifications. Only ``web_push/`` writes them."""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, String

from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_

PUSH_KINDS = ("message", "assigned", "mentioned")

push_subscriptions = table(
    "push_subscriptions",
    id_("organization_id"),
    id_("id"),
    id_("employee_id"),
    Column("session_id", BigInteger, nullable=True),
    Column("endpoint_hash", String(64), nullable=False),
    text_("sealed_address"),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    foreign_key("employees", "employee_id"),
    Index("ix_push_subscriptions_endpoint", "organization_id", "endpoint_hash", unique=True),
    Index(None, "employee_id", "organization_id"),
)
"""The browsers of employees. ``session_id``: the session that subscribed; NULL for a token. ``endpoint_hash``: SHA-256
of the URL, as hexadecimal digits. ``sealed_address``: the URL and the keys of the browser as JSON, encrypted."""

push_cursors = table(
    "push_cursors",
    id_("organization_id"),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("organization_id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""The last event for which notifications were decided; only for organizations with subscriptions."""

pushes = table(
    "pushes",
    id_("organization_id"),
    id_("subscription_id"),
    id_("thread_id"),
    Column("kind", String(16), nullable=False),
    id_("position"),
    Column("sequence", Integer, nullable=True),
    Column("message_id", BigInteger, nullable=True),
    ms("created_at_ms"),
    ms("due_at_ms"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("organization_id", "subscription_id", "thread_id"),
    foreign_key("push_subscriptions", "subscription_id"),
    foreign_key("threads", "thread_id"),
    one_of("kind", PUSH_KINDS),
    Index(None, "thread_id", "organization_id"),
    # Does not start with the organization: one worker sends for all organizations.
    Index(None, "due_at_ms"),
)
"""Notifications that wait to be sent: one for each browser and thread, because a newer one replaces it.
``position``: the event. ``sequence``, ``message_id``: its message, if any."""
