"""Tables of drafts, snoozes, tags, saved replies and saved views."""

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
)

from shopbell.db.schema.columns import foreign_key, id_, ms, one_of, table, text_

DRAFT_MODES = ("reply", "note")

drafts = table(
    "drafts",
    id_("organization_id"),
    id_("id"),
    id_("thread_id"),
    Column("employee_id", BigInteger, nullable=True),
    Column("mode", String(8), nullable=False),
    text_("body"),
    Column("by_program", Boolean, nullable=False, server_default=false()),
    ms("updated_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "thread_id", "mode", "employee_id"),
    foreign_key("threads", "thread_id"),
    foreign_key("employees", "employee_id"),
    one_of("mode", DRAFT_MODES),
    CheckConstraint("employee_id IS NOT NULL OR by_program", name="suggested_by_program"),
    Index(
        "ix_drafts_suggested",
        "organization_id",
        "thread_id",
        "mode",
        unique=True,
        sqlite_where=text("employee_id IS NULL"),
        postgresql_where=text("employee_id IS NULL"),
    ),
    # These do not start with the organization, for the same reason as in ``customer_identities``.
    Index(None, "thread_id", "organization_id"),
    Index(None, "employee_id", "organization_id"),
)
"""Texts that were not sent. ``employee_id``: whose draft it is; NULL if a program suggests it and no employee has taken
it over. ``by_program``: a program wrote the text, and no employee has changed it."""

draft_attachments = table(
    "draft_attachments",
    id_("organization_id"),
    id_("draft_id"),
    Column("place", Integer, nullable=False),
    id_("attachment_id"),
    PrimaryKeyConstraint("organization_id", "draft_id", "place"),
    foreign_key("drafts", "draft_id"),
    foreign_key("attachments", "attachment_id"),
    Index(None, "attachment_id", "organization_id"),
)
"""Files of drafts, in the order of ``place``."""

snoozes = table(
    "snoozes",
    id_("organization_id"),
    id_("thread_id"),
    ms("until_ms"),
    Column("keep", Boolean, nullable=False),
    Column("employee_id", BigInteger, nullable=True),
    id_("business_id"),
    Column("last_sequence", Integer, nullable=False),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    foreign_key("threads", "thread_id"),
    foreign_key("employees", "employee_id"),
    Index(None, "until_ms"),
)
"""Threads that are hidden until a time. ``keep``: a message from the customer does not end the snooze. ``employee_id``:
who snoozed it; NULL for a program. ``business_id`` and ``last_sequence``: those of the thread at that time; the snooze
ends when they change (``inbox/snoozes.py``)."""

tags = table(
    "tags",
    id_("organization_id"),
    id_("id"),
    text_("name"),
    text_("name_key"),
    Column("color", String(7), nullable=True),
    ms("created_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "name_key"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""``name_key``: the name without case and accents."""

thread_tags = table(
    "thread_tags",
    id_("organization_id"),
    id_("thread_id"),
    id_("tag_id"),
    PrimaryKeyConstraint("organization_id", "thread_id", "tag_id"),
    foreign_key("threads", "thread_id"),
    foreign_key("tags", "tag_id"),
    Index(None, "tag_id", "organization_id", "thread_id"),
)
"""The tags of threads."""

saved_replies = table(
    "saved_replies",
    id_("organization_id"),
    id_("id"),
    Column("business_id", BigInteger, nullable=True),
    Column("shortcut", String(32), nullable=False),
    text_("title"),
    text_("body"),
    ms("created_at_ms"),
    ms("updated_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "business_id", "shortcut"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    foreign_key("businesses", "business_id"),
    Index(
        "ix_saved_replies_general",
        "organization_id",
        "shortcut",
        unique=True,
        sqlite_where=text("business_id IS NULL"),
        postgresql_where=text("business_id IS NULL"),
    ),
)
"""``business_id``: NULL for all businesses. ``shortcut``: in lower case."""

saved_reply_attachments = table(
    "saved_reply_attachments",
    id_("organization_id"),
    id_("saved_reply_id"),
    Column("place", Integer, nullable=False),
    id_("attachment_id"),
    PrimaryKeyConstraint("organization_id", "saved_reply_id", "place"),
    foreign_key("saved_replies", "saved_reply_id"),
    foreign_key("attachments", "attachment_id"),
    Index(None, "attachment_id", "organization_id"),
)
"""Files of saved replies, in the order of ``place``."""

saved_views = table(
    "saved_views",
    id_("organization_id"),
    id_("id"),
    Column("employee_id", BigInteger, nullable=True),
    text_("name"),
    text_("query"),
    Column("shared", Boolean, nullable=False),
    ms("created_at_ms"),
    ms("updated_at_ms"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    foreign_key("employees", "employee_id"),
    CheckConstraint("employee_id IS NOT NULL OR shared", name="private_to_employee"),
)
"""``query``: the filters, as in the address of ``GET /api/inbox/threads``. ``employee_id``: who made it; NULL for a
program."""
