"""Derive the rows of the list of conversations. Owns ``inbox_threads``.

One query derives rows from the current state of threads, messages, customers and assignments, whatever happened to
them. ``inbox/feed_consumer.py`` says which rows, and when.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    case,
    delete,
    func,
    literal,
    null,
    select,
    update,
)

from shopbell.db.json_rows import json_rows
from shopbell.db.key_plans import find_by_key
from shopbell.db.schema.core import assignments, customer_identities, customers, messages, threads
from shopbell.db.schema.inbox import HOUR_MS, RANKS, inbox_cursors, inbox_threads
from shopbell.db.schema.inbox_tools import snoozes
from shopbell.events.record import upsert

PREVIEW_CHARACTERS = 200
_STORED_CHARACTERS = 2 * PREVIEW_CHARACTERS
"""The characters of a text that are stored: readers collapse its white space, which makes it shorter."""


class Touched(NamedTuple):
    """A thread whose row must be derived again.

    Args:
        thread_id: the thread.
        position: the event that requires it.
        settled_sequence: if its status was set, the last message that no longer waits; otherwise None.
    """

    thread_id: int
    position: int
    settled_sequence: int | None = None


Derived = Row[int, int]
"""Thread and business of a row that was derived."""


def derive(tx: Connection, organization_id: int, touched: Iterable[Touched]) -> list[Derived]:
    """Derive the rows of threads; each thread is named once.

    Threads that do not exist, or have no messages, get no row.
    """
    derived: list[Derived] = []
    left = list(touched)
    find_by_key(tx)
    for statement in (_UPDATE, _insert(tx)):
        rows = tx.execute(statement, asked_for(organization_id, left)).all() if left else []
        derived += rows
        if len(rows) == len(left):
            break
        done = {thread_id for thread_id, _ in rows}
        left = [each for each in left if each.thread_id not in done]
    return derived


def asked_for(organization_id: int, touched: Iterable[Touched]) -> dict[str, Any]:
    """The parameters of ``PRESENT``."""
    return {"touched": [(organization_id, *each) for each in touched]}


def empty_previews(tx: Connection, organization_id: int, thread_ids: Collection[int], *, until_ms: int) -> None:
    """Remove the texts of messages up to a time, which this transaction has deleted."""
    # A worker that read the messages earlier has written its rows when this lock becomes free. Later workers find no
    # message.
    tx.execute(
        select(inbox_cursors.c.position).where(inbox_cursors.c.organization_id == organization_id).with_for_update()
    )
    c = inbox_threads.c
    these = (c.organization_id == organization_id, c.thread_id.in_(thread_ids), c.last_at_ms <= until_ms)
    tx.execute(update(inbox_threads).where(*these).values(preview=""))


def forget(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> None:
    """Remove the names and texts of an erased customer."""
    c = inbox_threads.c
    these = (c.organization_id == organization_id, c.thread_id.in_(thread_ids))
    tx.execute(update(inbox_threads).where(*these).values(customer_name=None, preview=""))


def delete_absent(tx: Connection, organization_id: int, after_id: int, to_id: int | None) -> None:
    """Delete the rows of threads that do not exist.

    Args:
        after_id: only rows of threads with a higher id.
        to_id: only of threads with this or a lower id; None for all.
    """
    c, t = inbox_threads.c, threads.c
    there = select(t.id).where(t.organization_id == organization_id, t.id == c.thread_id).exists()
    absent = delete(inbox_threads).where(c.organization_id == organization_id, c.thread_id > after_id, ~there)
    tx.execute(absent if to_id is None else absent.where(c.thread_id <= to_id))


def _seen() -> Subquery:
    """What rows are derived from, apart from the rows as they were."""
    # Each row names the organization. Otherwise SQLite would first read all threads of the organization.
    asked = [Column(name, BigInteger) for name in ("organization_id", *Touched._fields)]
    given = select(*(value.label(each.name) for value, each in zip(json_rows("touched", asked), asked, strict=True)))
    given_rows, own, kept, last = given.subquery("given"), customers, customers.alias("kept"), messages.alias("last")
    g, t, a, z = given_rows.c, threads.c, assignments.c, snoozes.c
    source = (
        given_rows.join(threads, and_(t.organization_id == g.organization_id, t.id == g.thread_id))
        .join(own, and_(own.c.organization_id == t.organization_id, own.c.id == t.customer_id))
        .outerjoin(kept, and_(kept.c.organization_id == t.organization_id, kept.c.id == own.c.merged_into_id))
        .outerjoin(assignments, and_(a.organization_id == t.organization_id, a.thread_id == t.id))
        .outerjoin(snoozes, and_(z.organization_id == t.organization_id, z.thread_id == t.id))
        .outerjoin(last, and_(last.c.organization_id == t.organization_id, last.c.id == _last_id()))
    )
    author = case((last.c.from_customer, "customer"), (last.c.employee_id.is_not(None), "employee"), else_="program")
    is_merged = own.c.merged_into_id.is_not(None)
    is_erased = case((is_merged, kept.c.erased_at_ms), else_=own.c.erased_at_ms).is_not(None)
    text = func.coalesce(func.substr(last.c.body, 1, _STORED_CHARACTERS), "")
    columns: dict[str, ColumnElement[Any]] = {
        "organization_id": t.organization_id,
        "thread_id": t.id,
        "business_id": t.business_id,
        "customer_id": func.coalesce(own.c.merged_into_id, own.c.id),
        "customer_name": case((is_erased, null()), (is_merged, _name(kept)), else_=_name(own)),
        "channel": t.channel,
        "status": t.status,
        "assignee_id": a.employee_id,
        "snoozed_until_ms": z.until_ms,
        "last_at_ms": func.coalesce(last.c.created_at_ms, t.updated_at_ms),
        "last_sequence": t.last_sequence,
        "last_customer_sequence": case((last.c.from_customer, last.c.sequence), else_=_last_of_customer()),
        "last_author": author,
        "last_author_id": last.c.employee_id,
        "preview": case((is_erased, ""), else_=text),
        "position": g.position,
        "newly_settled": g.settled_sequence,
        "last_reply_sequence": t.last_reply_sequence,
        "updated_at_ms": t.updated_at_ms,
    }
    rows = select(*(value.label(name) for name, value in columns.items())).select_from(source)
    return rows.where(t.last_sequence > 0).subquery("seen")


def _values(old: FromClause) -> dict[str, ColumnElement[Any]]:
    """The columns of the rows as they would be derived now.

    Args:
        old: the rows as they were.
    """
    s, o = _SEEN.c, old.c
    settled = func.coalesce(s.newly_settled, o.settled_sequence, 0)
    answered = case((s.last_reply_sequence > settled, s.last_reply_sequence), else_=settled)
    # The start of an existing wait stays the same, even if retention deleted the message.
    still = and_(answered == o.answered_sequence, o.waiting_since_ms.is_not(None))
    since_ms = case(
        (s.status != "waiting", null()),
        (still, o.waiting_since_ms),
        else_=func.coalesce(_first_after(answered, old), o.waiting_since_ms, s.updated_at_ms),
    )
    derived = {
        "waiting_since_ms": since_ms,
        "last_hour": s.last_at_ms // literal(HOUR_MS, BigInteger),
        "settled_sequence": settled,
        "answered_sequence": answered,
        "rank": _rank(s.status, since_ms, s.snoozed_until_ms, s.last_at_ms),
    }
    names = [each.name for each in inbox_threads.columns]
    return {name: derived[name] if name in derived else s[name] for name in names}


def _last_id() -> ScalarSelect[int]:
    """The last message of the thread that is not a note."""
    m = messages.c
    return select(m.id).where(_of_thread(), ~m.internal).order_by(m.sequence.desc()).limit(1).scalar_subquery()


def _first_after(sequence: ColumnElement[int], old: FromClause) -> ScalarSelect[int]:
    """When the customer wrote the first message after a place."""
    m, s = messages.c, _SEEN.c
    of_thread = (m.organization_id == s.organization_id, m.thread_id == s.thread_id)
    later = select(m.created_at_ms).where(*of_thread, m.sequence > sequence, m.from_customer)
    return later.order_by(m.sequence).limit(1).correlate(_SEEN, old).scalar_subquery()


def _last_of_customer() -> ColumnElement[int]:
    """The place of the customer's last message; 0 for none."""
    m = messages.c
    theirs = select(m.sequence).where(_of_thread(), m.from_customer).order_by(m.sequence.desc()).limit(1)
    return func.coalesce(theirs.scalar_subquery(), 0)


def _of_thread() -> ColumnElement[bool]:
    m = messages.c
    return and_(m.organization_id == threads.c.organization_id, m.thread_id == threads.c.id)


def _name(customer: FromClause) -> ColumnElement[str]:
    """The name of a customer, as ``Profile.display_name``, but NULL instead of an id."""
    c, i = customer.c, customer_identities.c
    full = func.trim(func.coalesce(c.first_name, "") + " " + func.coalesce(c.last_name, ""))
    identity = (
        select(case((i.kind == "email", i.shown), else_=i.value))
        # The ``+ 0`` keeps SQLite from using the primary key: it would read all rows of the organization.
        .where(i.organization_id + 0 == c.organization_id, i.customer_id == c.id)
        .order_by(i.kind, i.value)
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(func.nullif(full, ""), func.nullif(c.company, ""), identity)


def _rank(
    status: ColumnElement[str],
    since_ms: ColumnElement[int],
    snoozed_until_ms: ColumnElement[int],
    last_at_ms: ColumnElement[int],
) -> ColumnElement[int]:
    """The place in lists; the docstring of the table has its parts."""
    until_ms = case((snoozed_until_ms < RANKS, snoozed_until_ms), else_=RANKS - 1)
    return case(
        (status == "resolved", 4 * RANKS - last_at_ms),
        (snoozed_until_ms.is_not(None), 2 * RANKS + until_ms),
        (status == "waiting", since_ms),
        else_=2 * RANKS - last_at_ms,
    )


_SEEN = _seen()


def _present() -> Select[Any]:
    old = inbox_threads.alias("old")
    this = and_(old.c.organization_id == _SEEN.c.organization_id, old.c.thread_id == _SEEN.c.thread_id)
    return select(*(value.label(name) for name, value in _values(old).items())).select_from(_SEEN.outerjoin(old, this))


PRESENT = _present()
"""The rows as they would be derived now, with the columns of the table; ``asked_for`` has the parameters."""

_INDEXED = frozenset(column.name for index in inbox_threads.indexes for column in index.columns) | {"status"}
"""The columns in keys of indexes, and in their conditions."""


def _update() -> Any:
    """Update the rows whose indexed columns stay the same.

    SQLite writes to the index of each column that a statement sets, whether its value changes or not, and PostgreSQL to
    all indexes if one changes. Most messages come from customers who wait already, and change no index.
    """
    c, now = inbox_threads.c, _values(inbox_threads)
    this = (c.organization_id == now["organization_id"], c.thread_id == now["thread_id"])
    same = [c[name].is_not_distinct_from(now[name]) for name in sorted(_INDEXED) if not c[name].primary_key]
    changed = {each.name: now[each.name] for each in c if not each.primary_key and each.name not in _INDEXED}
    return update(inbox_threads).where(*this, *same).values(changed).returning(c.thread_id, c.business_id)


_UPDATE = _update()
_inserts: dict[str, Any] = {}
"""By the name of the engine. Building the statement takes much longer than executing it."""


def _insert(tx: Connection) -> Any:
    """Insert rows, or replace them."""
    engine = tx.dialect.name
    if engine not in _inserts:
        c = inbox_threads.c
        names = [each.name for each in inbox_threads.columns]
        # Without a condition, SQLite misreads ON CONFLICT.
        new = upsert(tx, inbox_threads).from_select(names, PRESENT.where(_SEEN.c.thread_id > 0))
        changed = {each.name: new.excluded[each.name] for each in inbox_threads.columns if not each.primary_key}
        _inserts[engine] = new.on_conflict_do_update(
            index_elements=[c.organization_id, c.thread_id], set_=changed
        ).returning(c.thread_id, c.business_id)
    return _inserts[engine]
