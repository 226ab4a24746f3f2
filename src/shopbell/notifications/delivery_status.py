"""Keep the delivery status of messages.

This module owns the records: each message has one for each channel and audience.

A record never goes back: reports of providers arrive late, repeatedly, and in any order. Each change is an event,
except the first state ``queued``, which the event of the message implies.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from shopbell.db.schema.core import messages, threads
from shopbell.db.schema.customers import mail_details, message_deliveries, thread_reads
from shopbell.events import record
from shopbell.events.actors import SYSTEM
from shopbell.events.record import InThread, upsert

UNKNOWN = "unknown"
"""The reason of a message that may have been sent or not. Any later report replaces it."""

_RANKS = {"queued": 0, "sent": 1, "failed": 2, "delivered": 3, "read": 4}
_D = message_deliveries.c


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message reached a person, or why it did not.

    Args:
        message_id: the message.
        sequence: its place in its thread.
        channel: ``WEB``, ``EMAIL``, ``SMS`` or ``WHATSAPP``.
        audience: ``customer`` or ``store``.
        state: ``queued``, ``sent``, ``delivered``, ``read`` or ``failed``.
        reason: why it failed, as a short name.
        updated_at_ms: the time of the state in Unix ms.
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
    """A record that is to be created."""

    thread_id: int
    message_id: int
    sequence: int
    channel: str
    audience: str
    state: str
    reason: str | None = None
    outbound_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a record whose event is not recorded yet."""

    thread: InThread
    message_id: int
    channel: str
    audience: str
    state: str
    reason: str | None


def add(
    tx: Connection, organization_id: int, new: Sequence[New], threads_of: Mapping[int, InThread], *, now_ms: int
) -> list[Change]:
    """Create records.

    Args:
        tx: the transaction.
        organization_id: the organization.
        new: the records; an existing one stays as it is.
        threads_of: their threads.
        now_ms: the time in Unix ms.

    Returns:
        What ``record_changes`` must record at the end of the transaction.
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


def record_changes(tx: Connection, organization_id: int, changes: Iterable[Change], *, now_ms: int) -> None:
    """Record the events of changes; the last step of a transaction."""
    for change in changes:
        details = {"channel": change.channel, "audience": change.audience, "state": change.state}
        record.record(
            tx,
            organization_id,
            "message-delivery",
            actor=SYSTEM,
            now_ms=now_ms,
            thread=change.thread,
            message_id=change.message_id,
            details=details | {"reason": change.reason},
        )


def settle(
    tx: Connection,
    organization_id: int,
    outbound_message_id: int,
    state: str,
    reason: str | None = None,
    *,
    thread_ids: Collection[int] | None = None,
    up_to_sequence: int | None = None,
    now_ms: int,
) -> list[Change]:
    """Advance the records of an outbound message. Records that are further stay.

    Args:
        tx: the transaction.
        organization_id: the organization.
        outbound_message_id: the email or SMS that carried the messages.
        state: the new state.
        reason: why they failed.
        thread_ids: only messages of these threads.
        up_to_sequence: only messages up to this place.
        now_ms: the time in Unix ms.

    Returns:
        What ``record_changes`` must record at the end of the transaction.
    """
    # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
    of_outbound_message = and_(_D.organization_id + 0 == organization_id, _D.outbound_message_id == outbound_message_id)
    if thread_ids is not None:
        of_outbound_message = and_(of_outbound_message, _D.thread_id.in_(sorted(thread_ids)))
    if up_to_sequence is not None:
        of_outbound_message = and_(of_outbound_message, _D.sequence <= up_to_sequence)
    return _move(tx, organization_id, of_outbound_message, state, reason, now_ms)


def note_read(tx: Connection, organization_id: int, thread_id: int, sequence: int, *, now_ms: int) -> None:
    """Mark messages in the widget as read up to a place.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: the organization.
        thread_id: the thread.
        sequence: the place.
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
    record_changes(tx, organization_id, _move(tx, organization_id, seen, "read", None, now_ms), now_ms=now_ms)


def of_messages(tx: Connection, organization_id: int, message_ids: Sequence[int]) -> dict[int, list[Delivery]]:
    """Find the records of messages, by message id."""
    query = (
        select(_D.message_id, _D.sequence, _D.channel, _D.audience, _D.state, _D.reason, _D.updated_at_ms)
        .where(_D.organization_id == organization_id, _D.message_id.in_(message_ids))
        .order_by(_D.message_id, _D.audience, _D.channel)
    )
    found: dict[int, list[Delivery]] = {}
    for row in tx.execute(query):
        found.setdefault(row.message_id, []).append(Delivery(*row))
    return found


def emails_of(tx: Connection, organization_id: int, message_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Find the email details of messages that came by email, by message id."""
    c = mail_details.c
    query = select(mail_details).where(c.organization_id == organization_id, c.message_id.in_(message_ids))
    return {row.message_id: row for row in tx.execute(query)}


def read_sequences(tx: Connection, organization_id: int, thread_ids: Sequence[int]) -> dict[int, int]:
    """Find the place up to which the customers of threads have read."""
    c = thread_reads.c
    query = select(c.thread_id, c.customer_sequence).where(
        c.organization_id == organization_id, c.thread_id.in_(thread_ids)
    )
    return {row.thread_id: row.customer_sequence for row in tx.execute(query)}


def is_later(known: str, known_reason: str | None, reported: str) -> bool:
    """Whether a reported state replaces the known one."""
    if known == "failed" and known_reason == UNKNOWN:
        return reported != "queued"
    return _RANKS[reported] > _RANKS[known]


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
        if is_later(row.state, row.reason, state)
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
