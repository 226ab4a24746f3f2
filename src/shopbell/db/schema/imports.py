"""The table of imports from other products. Only ``conversations/history.py`` writes it."""

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, text

from shopbell.db.schema.columns import foreign_key, id_, ms, table, text_

imported_conversations = table(
    "imported_conversations",
    id_("organization_id"),
    text_("source"),
    id_("thread_id"),
    Column("first_sequence", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    ms("began_at_ms"),
    ms("oldest_at_ms", nullable=True),
    ms("imported_at_ms"),
    PrimaryKeyConstraint("organization_id", "source"),
    foreign_key("threads", "thread_id"),
    # Does not start with the organization, for the same reason as in ``customer_identities``.
    Index(None, "thread_id", "organization_id"),
    Index(
        "ix_imported_conversations_oldest",
        "organization_id",
        "oldest_at_ms",
        sqlite_where=text("oldest_at_ms IS NOT NULL"),
        postgresql_where=text("oldest_at_ms IS NOT NULL"),
    ),
)
"""Conversations from other products. ``source``: product and id, such as ``zendesk:12345``; a conversation is imported
once. ``first_sequence`` and ``last_sequence``: its messages in the thread. ``began_at_ms``: the time of its first
message. ``oldest_at_ms``: the time of the first message that retention has not deleted; NULL if none is left."""
