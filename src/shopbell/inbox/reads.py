"""What employees have read, and where they were mentioned. Owns these tables."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, and_, case, delete, literal, select, update

from shopbell.conversations import threads
from shopbell.conversations.threads import Thread
from shopbell.db.schema.core import employees as employees_table
from shopbell.db.schema.core import messages
from shopbell.db.schema.inbox import employee_reads, mentions
from shopbell.errors import NotFound
from shopbell.events import record
from shopbell.events.actors import Actor
from shopbell.events.record import upsert
from shopbell.organizations import employees

_R = employee_reads.c


def mark_read(
    tx: Connection, organization_id: int, employee_id: int, thread_id: int, sequence: int, *, now_ms: int
) -> Thread | None:
    """Record that an employee has read a thread, with its mentions, up to a message.

    Args:
        sequence: the message; at most the last one. The read mark never moves back.

    Returns:
        The thread, if anything changed.

    Raises:
        NotFound: 404; there is no such thread, or no active employee of that id.
    """
    thread = _check(tx, organization_id, employee_id, thread_id)
    place = min(sequence, thread.last_sequence)
    new = upsert(tx, employee_reads).values(
        organization_id=organization_id, employee_id=employee_id, thread_id=thread_id, sequence=place, at_ms=now_ms
    )
    read = new.on_conflict_do_update(
        index_elements=[_R.organization_id, _R.employee_id, _R.thread_id],
        set_={
            "sequence": case((_R.sequence > place, _R.sequence), else_=place),
            "marked_unread": False,
            "at_ms": now_ms,
        },
        where=(_R.sequence < place) | _R.marked_unread,
    )
    has_moved = tx.execute(read.returning(_R.sequence)).first() is not None
    m = mentions.c
    mine = and_(m.organization_id == organization_id, m.employee_id == employee_id, m.thread_id == thread_id)
    seen = update(mentions).where(mine, m.sequence <= place, m.read_at_ms.is_(None)).values(read_at_ms=now_ms)
    has_seen = tx.execute(seen).rowcount > 0
    return thread if has_seen or has_moved else None


def mark_read_by_all(tx: Connection, organization_id: int, thread_id: int, sequence: int, *, now_ms: int) -> None:
    """Record that all active employees have read a thread that is being imported, up to its last message.

    One statement without a parameter for each employee: an organization may have more than a statement may have.
    """
    e = employees_table.c
    read = select(e.organization_id, e.id, literal(thread_id), literal(sequence), literal(now_ms))
    active = read.where(e.organization_id == organization_id, e.deactivated_at_ms.is_(None))
    names = ["organization_id", "employee_id", "thread_id", "sequence", "at_ms"]
    new = upsert(tx, employee_reads).from_select(names, active)
    keys = list(employee_reads.primary_key.columns)
    tx.execute(new.on_conflict_do_update(index_elements=keys, set_={"sequence": sequence, "at_ms": now_ms}))


def mark_unread(
    tx: Connection, organization_id: int, employee_id: int, thread_id: int, *, now_ms: int
) -> Thread | None:
    """Mark a thread as unread for an employee until they read it again.

    Returns:
        The thread, if anything changed.

    Raises:
        NotFound: 404; there is no such thread, or no active employee of that id.
    """
    thread = _check(tx, organization_id, employee_id, thread_id)
    key = {"organization_id": organization_id, "employee_id": employee_id, "thread_id": thread_id}
    new = upsert(tx, employee_reads).values(**key, sequence=0, marked_unread=True, at_ms=now_ms)
    marked = new.on_conflict_do_update(
        index_elements=list(key), set_={"marked_unread": True, "at_ms": now_ms}, where=~_R.marked_unread
    )
    return None if tx.execute(marked.returning(_R.sequence)).first() is None else thread


def restore(
    tx: Connection,
    organization_id: int,
    employee_id: int,
    thread_id: int,
    sequence: int,
    *,
    marked_unread: bool,
    now_ms: int,
) -> None:
    """Undo ``mark_read``: restore the read mark, and the mentions after it.

    Args:
        sequence: the last message that counts as read; 0 for none.
        marked_unread: whether the thread counts as unread even if all messages are read.

    Raises:
        NotFound: there is no such thread, or no active employee of that id.
    """
    _check(tx, organization_id, employee_id, thread_id)
    key = {"organization_id": organization_id, "employee_id": employee_id, "thread_id": thread_id}
    state = {"sequence": sequence, "marked_unread": marked_unread, "at_ms": now_ms}
    new = upsert(tx, employee_reads).values(**key, **state)
    tx.execute(new.on_conflict_do_update(index_elements=list(key), set_=state))
    m = mentions.c
    mine = and_(m.organization_id == organization_id, m.employee_id == employee_id, m.thread_id == thread_id)
    tx.execute(update(mentions).where(mine, m.sequence > sequence).values(read_at_ms=None))


def _check(tx: Connection, organization_id: int, employee_id: int, thread_id: int) -> Thread:
    thread = threads.find(tx, organization_id, thread_id).thread
    if not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    return thread


def mention(
    tx: Connection,
    organization_id: int,
    message_id: int,
    employee_ids: Collection[int],
    *,
    actor: Actor,
    now_ms: int,
) -> None:
    """Record the mentions in a note and an event, unless it was done before.

    The author is left out.

    Args:
        message_id: a note of the organization.
        employee_ids: active employees of the organization.
        actor: who wrote it.
    """
    m = messages.c
    note = tx.execute(
        select(m.thread_id, m.sequence).where(m.organization_id == organization_id, m.id == message_id, m.internal)
    ).first()
    if note is None:  # deleted since
        return
    thread = threads.lock(tx, organization_id, note.thread_id)
    others = sorted({*employee_ids} - ({actor.id} if actor.type == "employee" else set()))
    # Employees who have the conversation open may have read the note before this transaction.
    readers = select(_R.employee_id).where(
        _R.organization_id == organization_id,
        _R.thread_id == note.thread_id,
        _R.employee_id.in_(others),
        _R.sequence >= note.sequence,
    )
    have_read = {*tx.scalars(readers)}
    of_note = {"organization_id": organization_id, "message_id": message_id, "thread_id": note.thread_id}
    of_note |= {"sequence": note.sequence, "at_ms": now_ms}
    rows = [{**of_note, "employee_id": id_, "read_at_ms": now_ms if id_ in have_read else None} for id_ in others]
    if not rows:
        return
    new = upsert(tx, mentions).values(rows).on_conflict_do_nothing().returning(mentions.c.employee_id)
    mentioned = sorted(tx.scalars(new))
    if mentioned:
        in_thread = replace(threads.in_thread(thread), last_sequence=note.sequence)
        details = {"mentionedUserIds": [str(id_) for id_ in mentioned]}
        place: dict[str, Any] = {"thread": in_thread, "message_id": message_id}
        record.record(tx, organization_id, "mention", actor=actor, now_ms=now_ms, details=details, **place)


def forget_mentions(tx: Connection, organization_id: int, message_ids: Collection[int]) -> None:
    """Delete the mentions of messages that are deleted."""
    c = mentions.c
    tx.execute(delete(mentions).where(c.organization_id == organization_id, c.message_id.in_(message_ids)))
