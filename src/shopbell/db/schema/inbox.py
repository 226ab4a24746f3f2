"""Tables of the inbox. Only ``inbox/`` writes them."""

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

AUTHORS = ("customer", "employee", "program")

RANKS = 2**44
"""The size of each part of ``inbox_threads.rank``; greater than any time in Unix ms until the year 2527."""

HOUR_MS = 60 * 60 * 1000

inbox_threads = table(
    "inbox_threads",
    id_("organization_id"),
    id_("thread_id"),
    id_("business_id"),
    id_("customer_id"),
    text_("customer_name", nullable=True),
    Column("channel", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("assignee_id", BigInteger, nullable=True),
    ms("waiting_since_ms", nullable=True),
    ms("snoozed_until_ms", nullable=True),
    ms("last_at_ms"),
    Column("last_hour", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("last_customer_sequence", Integer, nullable=False),
    Column("last_author", String(8), nullable=False),
    Column("last_author_id", BigInteger, nullable=True),
    text_("preview"),
    Column("settled_sequence", Integer, nullable=False),
    Column("answered_sequence", Integer, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("organization_id", "thread_id"),
    one_of("last_author", AUTHORS),
    # With business and assignee, it counts the conversations of all views.
    Index("ix_inbox_threads_rank", "organization_id", "rank", "thread_id", "business_id", "assignee_id"),
    # The next two start with the column that is fixed in a list. If they started with the organization, PostgreSQL
    # would instead use another index with this prefix while the table has no statistics.
    Index("ix_inbox_threads_business", "business_id", "organization_id", "rank", "thread_id"),
    Index("ix_inbox_threads_assignee", "assignee_id", "organization_id", "rank", "thread_id", "business_id"),
    # It has only the hour: with the exact time, each message would change this index. Resolved conversations are listed
    # by rank only.
    Index(
        "ix_inbox_threads_recent",
        "organization_id",
        "last_hour",
        sqlite_where=text("status <> 'resolved'"),
        postgresql_where=text("status <> 'resolved'"),
    ),
    # Free space in each page lets PostgreSQL update a row without updating the indexes (HOT).
    postgresql_with={"fillfactor": 50},
)
"""The list of conversations: a row for each thread with messages, derived from other tables (``inbox/projection.py``).

It has no foreign keys, so that writes to other tables need not look at it.

- ``customer_id``: the customer after merges. ``customer_name``: name, company, email address or phone number.
- ``last_…``: of the last message that is not a note, except that ``last_sequence`` includes notes. ``preview``: the
  start of its text. ``last_author_id``: the employee. ``last_hour``: ``last_at_ms`` in hours.
- ``settled_sequence``: messages up to it no longer wait, because the conversation was resolved or marked as replied.
  ``answered_sequence``: the same, or a reply. ``waiting_since_ms``: the first message after it; set if the status is
  ``waiting``.
- ``rank``: the place in lists, in four parts of ``RANKS``: conversations that need a reply, longest waiting
  first; replied, newest first; snoozed, by the end of the snooze; resolved, newest first.
- ``position``: the event with which the row was last derived."""

inbox_cursors = table(
    "inbox_cursors",
    id_("organization_id"),
    Column("position", BigInteger, nullable=False),
    Column("rebuilt_to_id", BigInteger, nullable=True),
    PrimaryKeyConstraint("organization_id"),
    ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
)
"""The last event of an organization that ``inbox_threads`` reflects. ``rebuilt_to_id``: while all rows are rebuilt, the
last thread that is done."""

employee_reads = table(
    "employee_reads",
    id_("organization_id"),
    id_("employee_id"),
    id_("thread_id"),
    Column("sequence", Integer, nullable=False),
    Column("marked_unread", Boolean, nullable=False, server_default=false()),
    ms("at_ms"),
    PrimaryKeyConstraint("organization_id", "employee_id", "thread_id"),
    foreign_key("employees", "employee_id"),
    foreign_key("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
)
"""The last message of a thread that an employee has read. ``marked_unread``: they marked the thread as unread since."""

mentions = table(
    "mentions",
    id_("organization_id"),
    id_("message_id"),
    id_("employee_id"),
    id_("thread_id"),
    Column("sequence", Integer, nullable=False),
    ms("at_ms"),
    ms("read_at_ms", nullable=True),
    PrimaryKeyConstraint("organization_id", "message_id", "employee_id"),
    foreign_key("employees", "employee_id"),
    foreign_key("threads", "thread_id"),
    Index(None, "thread_id", "organization_id"),
    Index(
        "ix_mentions_unread",
        "employee_id",
        "organization_id",
        "thread_id",
        sqlite_where=text("read_at_ms IS NULL"),
        postgresql_where=text("read_at_ms IS NULL"),
    ),
)
"""Employees who were mentioned in notes."""
