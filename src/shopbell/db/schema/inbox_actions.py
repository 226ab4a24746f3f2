"""Tables of scheduled messages and bulk actions. Only ``inbox/`` writes them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    String,
    false,
    text,
)

from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_
from shopbell.formats.channels import CHANNELS

SCHEDULED_STATES = ("scheduled", "sent", "cancelled", "refused")

scheduled_messages = table(
    "scheduled_messages",
    id_("organization_id"),
    id_("id"),
    id_("thread_id"),
    id_("caller_id"),
    Column("employee_id", BigInteger, nullable=True),
    text_("body"),
    text_("content_sid", nullable=True),
    Column("attachment_id", BigInteger, nullable=True),
    Column("channel", String(16), nullable=True),
    Column("last_seen_message_id", BigInteger, nullable=True),
    Column("resolves", Boolean, nullable=False, server_default=false()),
    ms("created_at_ms"),
    ms("send_at_ms"),
    Column("state", String(16), nullable=False),
    Column("reason", String(32), nullable=True),
    Column("message_id", BigInteger, nullable=True),
    ms("settled_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    foreign_key("threads", "thread_id"),
    one_of("state", SCHEDULED_STATES),
    one_of("channel", CHANNELS),
    Index(None, "organization_id", "thread_id"),
    # These indexes do not start with the organization: one worker sends for all organizations, and one job deletes for
    # all.
    Index(
        "ix_scheduled_messages_due",
        "send_at_ms",
        sqlite_where=text("state = 'scheduled'"),
        postgresql_where=text("state = 'scheduled'"),
    ),
    Index(
        "ix_scheduled_messages_settled",
        "settled_at_ms",
        sqlite_where=text("settled_at_ms IS NOT NULL"),
        postgresql_where=text("settled_at_ms IS NOT NULL"),
    ),
    Index(
        "ix_scheduled_messages_attachment",
        "organization_id",
        "attachment_id",
        sqlite_where=text("attachment_id IS NOT NULL"),
        postgresql_where=text("attachment_id IS NOT NULL"),
    ),
)
"""Replies that are sent at a later time. ``caller_id``: the token, or the employee who was signed in. ``employee_id``:
the author; NULL for a program. ``resolves``: whether the thread becomes resolved after the message is sent.
``reason``: why it was refused. ``message_id``: the message that it became. ``settled_at_ms``: when it left the state
``scheduled``."""

actions = table(
    "actions",
    id_("organization_id"),
    id_("id"),
    id_("caller_id"),
    Column("employee_id", BigInteger, nullable=True),
    Column("type", String(16), nullable=False),
    text_("details"),
    Column("reverses_id", BigInteger, nullable=True),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    Index(None, "created_at_ms"),
    Index(
        "ix_actions_reverses",
        "organization_id",
        "reverses_id",
        sqlite_where=text("reverses_id IS NOT NULL"),
        postgresql_where=text("reverses_id IS NOT NULL"),
    ),
)
"""What an employee or a program did to one or many conversations, so that it can be undone for a day. ``type`` and
``details``: a class of ``inbox/action_kinds.py`` and its fields as JSON. ``reverses_id``: the action that this one
undid."""

action_items = table(
    "action_items",
    id_("organization_id"),
    id_("action_id"),
    id_("thread_id"),
    text_("before"),
    text_("after"),
    PrimaryKeyConstraint("organization_id", "action_id", "thread_id"),
    foreign_key("actions", "action_id"),
    foreign_key("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
)
"""The threads that an action changed, with their states before and after it as JSON: ids, times and names of states."""
