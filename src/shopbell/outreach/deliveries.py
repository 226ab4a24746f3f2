"""What became of a message: one record for each way that it took, and an event for each change. Owns these records.

A record never goes back: reports of providers come late, twice and in any order. The feed is told of each change but
the first, ``queued``, which the message itself says.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from shopbell import events
from shopbell.events import InThread, upsert
from shopbell.storage.customer_schema import mail_details, message_deliveries, thread_reads
from shopbell.storage.schema import messages, threads

UNKNOWN = "unknown"
"""The reason of what may have gone out, or may not: whatever is heard of it later counts."""

_RANKS = {"queued": 0, "sent": 1, "failed": 2, "delivered": 3, "read": 4}
_D = message_deliveries.c


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message reached somebody, or did not.

    Args:
        message_id: the message.
        sequence: its place in its thread.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``.
        audience: ``customer`` or ``store``.
        state: ``queued``, ``sent``, ``delivered``, ``read`` or ``failed``.
        reason: why it failed, as a short name.
        updated_at_ms: since when, in Unix ms.
    """

    message_id: int
    sequence: int
    channel: str
    audience: str
    state: str
    reason: str | None
    updated_at_ms: int


@dataclass(frozen=True, slots=True)
class New:
    """A record that is to be made."""

    thread_id: int
    message_id: int
    sequence: int
    channel: str
    audience: str
    state: str
    reason: str | None = None
    dispatch_id: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be told of a record once everything else is written."""

    thread: InThread
    message_id: int
    channel: str
    audience: str
    state: str
    reason: str | None


def add(
    tx: Connection, organization_id: int, new: Sequence[New], threads_of: Mapping[int, InThread], *, now_ms: int
) -> list[Change]:
    """Make records.

    Args:
        tx: the transaction.
        organization_id: whose messages.
        new: the records; one that is there already stays as it is.
        threads_of: the threads that they are in.
        now_ms: the time in Unix ms.

    Returns:
        What ``tell`` has to tell at the transaction's end.
    """
    changes: list[Change] = []
    for one in new:
        values = {name: getattr(one, name) for name in New.__dataclass_fields__}
        made = upsert(tx, message_deliveries).values(organization_id=organization_id, updated_at_ms=now_ms, **values)
        is_new = tx.execute(made.on_conflict_do_nothing().returning(_D.message_id)).first() is not None
        if is_new and one.state != "queued":
            place = _at(threads_of[one.thread_id], one.sequence)
            changes.append(Change(place, one.message_id, one.channel, one.audience, one.state, one.reason))
    return changes


def tell(tx: Connection, organization_id: int, changes: Iterable[Change], *, now_ms: int) -> None:
    """Record what has changed; the last thing that a transaction does."""
    for change in changes:
        details = {"channel": change.channel, "audience": change.audience, "state": change.state}
        events.record(
            tx,
            organization_id,
            "message-delivery",
            now_ms=now_ms,
            thread=change.thread,
            message_id=change.message_id,
            details=details | {"reason": change.reason},
        )


def settle(
    tx: Connection,
    organization_id: int,
    dispatch_id: int,
    state: str,
    reason: str | None = None,
    *,
    thread_ids: Collection[int] | None = None,
    up_to_sequence: int | None = None,
    now_ms: int,
) -> list[Change]:
    """Move the records of a dispatch on; those that are further already stay.

    Args:
        tx: the transaction.
        organization_id: whose dispatch.
        dispatch_id: the mail or the text that carried the messages.
        state: where they are now.
        reason: why they failed.
        thread_ids: only those of messages of these threads.
        up_to_sequence: only those of messages up to this place.
        now_ms: the time in Unix ms.

    Returns:
        What ``tell`` has to tell at the transaction's end.
    """
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    of_dispatch = and_(_D.organization_id + 0 == organization_id, _D.dispatch_id == dispatch_id)
    if thread_ids is not None:
        of_dispatch = and_(of_dispatch, _D.thread_id.in_(sorted(thread_ids)))
    if up_to_sequence is not None:
        of_dispatch = and_(of_dispatch, _D.sequence <= up_to_sequence)
    return _move(tx, organization_id, of_dispatch, state, reason, now_ms)


def note_read(tx: Connection, organization_id: int, thread_id: int, sequence: int, *, now_ms: int) -> None:
    """The customer has seen all messages up to a place: what waits in the widget for him is read.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: whose thread.
        thread_id: the thread.
        sequence: up to where.
        now_ms: the time in Unix ms.
    """
    seen = and_(
        _D.organization_id + 0 == organization_id,
        _D.thread_id == thread_id,
        _D.sequence <= sequence,
        _D.audience == "customer",
        _D.channel == "WEB",
        _D.state != "read",
    )
    tell(tx, organization_id, _move(tx, organization_id, seen, "read", None, now_ms), now_ms=now_ms)


def of_messages(tx: Connection, organization_id: int, message_ids: Sequence[int]) -> dict[int, list[Delivery]]:
    """The records of messages, by the messages' ids."""
    query = (
        select(_D.message_id, _D.sequence, _D.channel, _D.audience, _D.state, _D.reason, _D.updated_at_ms)
        .where(_D.organization_id == organization_id, _D.message_id.in_(message_ids))
        .order_by(_D.message_id, _D.audience, _D.channel)
    )
    found: dict[int, list[Delivery]] = {}
    for row in tx.execute(query):
        found.setdefault(row.message_id, []).append(Delivery(*row))
    return found


def mails_of(tx: Connection, organization_id: int, message_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Of those messages that came by mail, what is known of the mail, by the messages' ids."""
    c = mail_details.c
    query = select(mail_details).where(c.organization_id == organization_id, c.message_id.in_(message_ids))
    return {row.message_id: row for row in tx.execute(query)}


def read_sequences(tx: Connection, organization_id: int, thread_ids: Sequence[int]) -> dict[int, int]:
    """Up to where the customers of these threads have read."""
    c = thread_reads.c
    query = select(c.thread_id, c.customer_sequence).where(
        c.organization_id == organization_id, c.thread_id.in_(thread_ids)
    )
    return {row.thread_id: row.customer_sequence for row in tx.execute(query)}


def later_of(known: str, known_reason: str | None, told: str) -> bool:
    """Whether a state that was told now counts more than the one that is known."""
    if known == "failed" and known_reason == UNKNOWN:
        return told != "queued"
    return _RANKS[told] > _RANKS[known]


def _move(
    tx: Connection, organization_id: int, which: ColumnElement[bool], state: str, reason: str | None, now_ms: int
) -> list[Change]:
    t, m = threads.c, messages.c
    query = (
        select(message_deliveries, t.customer_id, t.business_id, m.id.label("found_id"))
        .join(threads, and_(t.organization_id == _D.organization_id, t.id == _D.thread_id))
        .outerjoin(
            messages,
            and_(m.organization_id == _D.organization_id, m.thread_id == _D.thread_id, m.sequence == _D.sequence),
        )
        .where(which)
        .order_by(_D.message_id, _D.channel, _D.audience)
        .with_for_update(of=message_deliveries)
    )
    return [
        _change(tx, organization_id, row, state, reason, now_ms)
        for row in tx.execute(query).all()
        if later_of(row.state, row.reason, state)
    ]


def _change(tx: Connection, organization_id: int, row: Row[Any], state: str, reason: str | None, now_ms: int) -> Change:
    tx.execute(
        update(message_deliveries)
        .where(
            _D.organization_id == organization_id,
            _D.message_id == row.message_id,
            _D.channel == row.channel,
            _D.audience == row.audience,
        )
        .values(state=state, reason=reason, updated_at_ms=now_ms)
    )
    place = InThread(row.thread_id, row.customer_id, row.business_id, row.sequence)
    return Change(place, row.message_id, row.channel, row.audience, state, reason)


def _at(thread: InThread, sequence: int) -> InThread:
    return InThread(thread.id, thread.customer_id, thread.business_id, sequence)
