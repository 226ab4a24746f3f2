"""Snoozes: hide a conversation until a time. Owns their table.

A snooze ends at the first of these events:

- by hand;
- at its time; the status ``replied`` then becomes ``waiting``, because it was snoozed to be looked at again;
- when the customer writes, unless ``keep`` is set;
- when the conversation is resolved, or transferred to another business, whose employees did not snooze it.

``snooze_worker.py`` finds all but the first, so that messages do not need to read this table.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, or_, select

from shopbell.conversations import threads
from shopbell.conversations.threads import Thread
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.schema.core import messages
from shopbell.db.schema.core import threads as threads_table
from shopbell.db.schema.inbox_tools import snoozes
from shopbell.db.schema.webhooks import feeds
from shopbell.errors import Conflict, FieldError, Invalid
from shopbell.events import record
from shopbell.events.actors import SYSTEM, Actor
from shopbell.organizations import employees

ENDED_AT_ONCE = 100
"""The maximum number of snoozes that one transaction ends, because it locks the feed of their organization."""

EndedBy = Literal["hand", "time", "message", "status", "transfer", "erasure"]

_S, _T, _M = snoozes.c, threads_table.c, messages.c
_IS_THREAD = and_(_T.organization_id == _S.organization_id, _T.id == _S.thread_id)
_CUSTOMER_WROTE = and_(
    ~_S.keep,
    _T.last_sequence > _S.last_sequence,
    exists().where(
        _M.organization_id == _S.organization_id,
        _M.thread_id == _S.thread_id,
        _M.sequence > _S.last_sequence,
        _M.from_customer,
    ),
)
_IS_RESOLVED = _T.status == "resolved"
_IS_TRANSFERRED = _T.business_id != _S.business_id


@dataclass(frozen=True, slots=True)
class Snooze:
    """A snooze. Times are Unix ms; the other fields as in ``snooze``."""

    organization_id: int
    thread_id: int
    until_ms: int
    keep: bool
    employee_id: int | None
    business_id: int
    last_sequence: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the worker has to do.

    Args:
        over: threads whose snooze ends, by organization; at most ``ENDED_AT_ONCE`` altogether.
        positions: the position of the feed of each organization with snoozes; pass them to the next look.
        next_due_ms: when the next snooze ends by time, in Unix ms.
    """

    over: Mapping[int, Sequence[int]]
    positions: Mapping[int, int]
    next_due_ms: int | None


class Resolved(Conflict):
    """409: a resolved conversation cannot be snoozed."""

    def __init__(self) -> None:
        super().__init__("The conversation is resolved. Change its status, then snooze it.")


def snooze(
    tx: Connection,
    organization_id: int,
    thread_id: int,
    until_ms: int,
    *,
    keep: bool,
    actor: Actor,
    now_ms: int,
) -> bool:
    """Hide a thread from the lists of those that need a reply.

    An earlier snooze is replaced.

    Args:
        until_ms: the end of the snooze, in Unix ms.
        keep: whether it continues if the customer writes.
        actor: who snoozes it.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: 404; there is no such thread or employee.
        Invalid: 400; the time has passed.
        Resolved: 409.
    """
    if until_ms <= now_ms:
        raise Invalid([FieldError("until", "invalid_value", "must be in the future")])
    thread = threads.lock(tx, organization_id, thread_id)
    employees.check_acting(tx, organization_id, actor.employee_id)
    if thread.status == "resolved":
        raise Resolved
    present = find(tx, organization_id, [thread_id]).get(thread_id)
    if present is not None and (present.until_ms, present.keep) == (until_ms, keep):
        return False
    _delete(tx, organization_id, [thread_id])
    new = Snooze(
        organization_id, thread_id, until_ms, keep, actor.employee_id, thread.business_id, thread.last_sequence, now_ms
    )
    tx.execute(insert(snoozes).values({name: getattr(new, name) for name in Snooze.__dataclass_fields__}))
    details = {"until": until_ms, "keep": keep}
    in_thread = threads.in_thread(thread)
    record.record(tx, organization_id, "snooze", actor=actor, now_ms=now_ms, thread=in_thread, details=details)
    return True


def unsnooze(tx: Connection, organization_id: int, thread_id: int, *, actor: Actor, now_ms: int) -> bool:
    """End the snooze of a thread by hand, if there is one.

    Args:
        actor: who ends it.

    Returns:
        Whether there was one.

    Raises:
        NotFound: 404; there is no such thread or employee.
    """
    thread = threads.lock(tx, organization_id, thread_id)
    employees.check_acting(tx, organization_id, actor.employee_id)
    if not find(tx, organization_id, [thread_id]):
        return False
    _end(tx, [(thread, "hand")], actor=actor, now_ms=now_ms)
    return True


def find(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> dict[int, Snooze]:
    """The snoozes of these threads, by thread."""
    query = select(snoozes).where(_S.organization_id == organization_id, _S.thread_id.in_(thread_ids))
    return {row["thread_id"]: Snooze(**row) for row in tx.execute(query).mappings()}


def look(tx: Connection, positions: Mapping[int, int], *, now_ms: int) -> Outlook:
    """Find snoozes that end. Only reads.

    Args:
        positions: those of the last look. Only threads of organizations with new events are searched; all if it is
            empty.
        now_ms: the time in Unix ms.
    """
    # The positions are read first: events that are committed during this function have a higher position, and are left
    # to the next look.
    snoozing = exists().where(_S.organization_id == feeds.c.organization_id)
    newest = {
        row[0]: row[1] for row in tx.execute(select(feeds.c.organization_id, feeds.c.last_position).where(snoozing))
    }
    changed = [id_ for id_, position in newest.items() if positions.get(id_) != position]
    over: dict[int, list[int]] = {}
    due = select(_S.organization_id, _S.thread_id).where(_S.until_ms <= now_ms).order_by(_S.until_ms)
    queries = [due, _over(changed)] if changed else [due]
    left = ENDED_AT_ONCE
    for query in queries:
        for organization_id, thread_id in tx.execute(query.limit(left)):
            over.setdefault(organization_id, []).append(thread_id)
            left -= 1
    next_due_ms = tx.scalar(select(func.min(_S.until_ms)).where(_S.until_ms > now_ms))
    # Organizations whose result may be incomplete are searched again.
    return Outlook(over, newest if left > 0 else positions, next_due_ms)


def end_over(tx: Connection, organization_id: int, thread_ids: Collection[int], *, now_ms: int) -> int:
    """End those snoozes of threads that are over.

    Args:
        thread_ids: at most ``ENDED_AT_ONCE``, from ``look``. Another worker may have ended some.

    Returns:
        How many were ended.
    """
    locked = _lock(tx, organization_id, thread_ids)
    query = (
        select(_S.thread_id, _IS_RESOLVED, _IS_TRANSFERRED, _CUSTOMER_WROTE, _S.until_ms <= now_ms)
        .select_from(snoozes.join(threads_table, _IS_THREAD))
        .where(_S.organization_id == organization_id, _S.thread_id.in_(locked))
        .order_by(_S.thread_id)
    )
    reasons: tuple[EndedBy, ...] = ("status", "transfer", "message", "time")
    ended = [
        (locked[thread_id], next(reason for reason, holds in zip(reasons, which, strict=True) if holds))
        for thread_id, *which in tx.execute(query)
        if any(which)
    ]
    _end(tx, ended, actor=SYSTEM, now_ms=now_ms)
    return len(ended)


def end_by_erasure(tx: Connection, organization_id: int, thread_ids: Collection[int], *, now_ms: int) -> int:
    """End some snoozes of an erased customer's threads; returns how many, or 0."""
    query = select(_S.thread_id).where(_S.organization_id == organization_id, _S.thread_id.in_(thread_ids))
    found = tx.scalars(query.order_by(_S.thread_id).limit(ENDED_AT_ONCE)).all()
    ended: list[tuple[Thread, EndedBy]] = [(thread, "erasure") for thread in _lock(tx, organization_id, found).values()]
    _end(tx, ended, actor=SYSTEM, now_ms=now_ms)
    return len(ended)


def _over(organization_ids: Collection[int]) -> Select[tuple[int, int]]:
    """The threads of organizations whose snooze ends because of an event."""
    return (
        select(_S.organization_id, _S.thread_id)
        .select_from(snoozes.join(threads_table, _IS_THREAD))
        .where(_S.organization_id.in_(organization_ids), or_(_IS_RESOLVED, _IS_TRANSFERRED, _CUSTOMER_WROTE))
        .order_by(_S.organization_id, _S.thread_id)
    )


def _lock(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> dict[int, Thread]:
    lock_customers_shared(tx)
    return {id_: threads.lock(tx, organization_id, id_) for id_ in sorted(set(thread_ids))}


def _end(tx: Connection, ended: Sequence[tuple[Thread, EndedBy]], *, actor: Actor, now_ms: int) -> None:
    """End snoozes of one organization, whose threads are locked."""
    for thread, reason in ended:
        _delete(tx, thread.organization_id, [thread.id])
        if reason == "time" and thread.status == "replied":
            threads.update_status(tx, thread.organization_id, thread.id, "waiting", actor=actor)
        details = {"until": None, "endedBy": reason}
        in_thread = threads.in_thread(thread)
        record.record(
            tx, thread.organization_id, "snooze", actor=actor, now_ms=now_ms, thread=in_thread, details=details
        )


def _delete(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> None:
    tx.execute(delete(snoozes).where(_S.organization_id == organization_id, _S.thread_id.in_(thread_ids)))
