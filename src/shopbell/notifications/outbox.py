"""The outbox: outbound messages and their attempts.

Each outbound message is claimed and settled in a transaction of its own; its attempt is counted before it is sent. A
lease is a due time in the future, and the number of attempts is its fencing token. During an attempt ``reason`` is NULL
or ``resent``. If it is still so after the lease, the message may have been sent. An SMS is then given up as
``unknown``, because a second one costs money and annoys. An email is sent once more with the same ``Message-ID``, by
which many servers detect duplicates; after that it is given up too.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, not_, or_, select, text, tuple_, update

from shopbell.customers.opt_outs import OptOuts
from shopbell.db import installation
from shopbell.db.ids import take_id
from shopbell.db.schema.customers import message_deliveries, notification_state, outbound_messages
from shopbell.notifications import delivery_status
from shopbell.notifications.capabilities import Capabilities
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown

_ERASED = "erased"
_OPTED_OUT = "opted_out"
_RESENT = "resent"
_TO_BE_RESENT = "to_be_resent"
_UNDER_WAY = (None, _RESENT)

_PUT_OFF_MS = 5 * 60 * 1_000
_HOUR_S = 60 * 60
_PAUSES_S = (30, 60, 300, 900, 1_800, _HOUR_S, 2 * _HOUR_S, 4 * _HOUR_S, 8 * _HOUR_S)

_D = outbound_messages.c
# As raw SQL, because the partial index of waiting messages needs exactly this condition.
WAITS = text("outbound_messages.state = 'waiting'")


@dataclass(frozen=True, slots=True)
class Due:
    """An outbound message that is due, with its row locked.

    Args:
        row: its row.
        is_resent: whether it may have been sent before.
    """

    row: Row[Any]
    is_resent: bool


@dataclass(frozen=True, slots=True)
class Started:
    """An outbound message whose attempt is counted.

    Args:
        organization_id: the organization.
        id: the outbound message.
        channel: the capabilities of its channel.
        attempt: the number of the attempt, from 1.
        is_resent: whether it may have been sent before.
        created_at_ms: when it was created, in Unix ms.
    """

    organization_id: int
    id: int
    channel: Capabilities
    attempt: int
    is_resent: bool
    created_at_ms: int


def next_due_ms(tx: Connection, channels: Collection[str]) -> int | None:
    """When the next outbound message of these channels is due, in Unix ms.

    Returns:
        None if none is waiting, or all are held back.
    """
    if installation.pause_reason(tx):
        return None
    query = select(func.min(_D.due_at_ms)).where(WAITS, _D.channel.in_(sorted(channels)))
    due_at_ms: int | None = tx.scalar(query)
    return due_at_ms


def take(tx: Connection, channels: Collection[str], busy: Collection[int], *, now_ms: int) -> Due | None:
    """Lock the outbound message that has been due for longest.

    Args:
        tx: the transaction.
        channels: the channels.
        busy: organizations that have used their share; they come after all others.
        now_ms: the time in Unix ms.
    """
    due = (
        select(outbound_messages)
        .where(WAITS, _D.due_at_ms <= now_ms, _D.channel.in_(sorted(channels)))
        .order_by(_D.due_at_ms)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.execute(due.where(_D.organization_id.not_in(sorted(busy)))).first() if busy else None
    row = row or tx.execute(due).first()
    if row is None:
        return None
    return Due(row, is_resent=row.reason == _TO_BE_RESENT or (row.attempts > 0 and row.reason in _UNDER_WAY))


def is_lost(due: Due, channel: Capabilities) -> bool:
    """Whether it may have been sent, and is not sent again."""
    row = due.row
    if not due.is_resent:
        return False
    return not channel.detects_repeats or (row.attempts > 0 and row.reason == _RESENT)


def start(tx: Connection, due: Due, channel: Capabilities, segments: int | None, *, now_ms: int) -> Started:
    """Count an attempt. It is made after the commit."""
    row = due.row
    set_columns(
        tx,
        row.organization_id,
        row.id,
        attempts=row.attempts + 1,
        due_at_ms=now_ms + channel.lease_ms,
        reason=_RESENT if due.is_resent else None,
        segments=segments,
    )
    return Started(row.organization_id, row.id, channel, row.attempts + 1, due.is_resent, row.created_at_ms)


def split(tx: Connection, row: Row[Any], last_sequence: int, *, now_ms: int) -> Row[Any]:
    """Let a locked outbound message carry its messages up to a place only.

    For a customer, the rest gets an outbound message of its own. A business finds the rest in the conversation.

    Args:
        tx: the transaction.
        row: the outbound message; it has messages on both sides of the place.
        last_sequence: the place.
        now_ms: the time in Unix ms.

    Returns:
        The row of the outbound message as it is now.
    """
    m = message_deliveries.c
    # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
    of_outbound_message = and_(m.organization_id + 0 == row.organization_id, m.outbound_message_id == row.id)
    rest = and_(of_outbound_message, m.thread_id == row.thread_id, m.sequence > last_sequence)
    if row.audience == "customer":
        first_of_rest = tx.scalar(select(func.min(m.sequence)).where(rest))
        fresh = {"id": take_id(tx), "first_sequence": first_of_rest, "attempts": 0, "due_at_ms": now_ms, "reason": None}
        tx.execute(insert(outbound_messages).values({**row._asdict(), **fresh}))
        tx.execute(update(message_deliveries).where(rest).values(outbound_message_id=fresh["id"]))
    else:
        tx.execute(delete(message_deliveries).where(rest))
    set_columns(tx, row.organization_id, row.id, last_sequence=last_sequence)
    return tx.execute(_locked(row.organization_id, row.id)).one()


def put_off(tx: Connection, due: Due, until_ms: int) -> None:
    """Send nothing before this time, in Unix ms. No attempt is counted."""
    set_columns(tx, due.row.organization_id, due.row.id, due_at_ms=until_ms)


def put_off_first(tx: Connection, channels: Collection[str], busy: Collection[int], *, now_ms: int) -> None:
    """Delay the outbound message that has been due for longest.

    It could not be read, and must not block others.
    """
    due = take(tx, channels, busy, now_ms=now_ms)
    if due is not None:
        put_off(tx, due, now_ms + _PUT_OFF_MS)


def end(
    tx: Connection, row: Row[Any], state: str, reason: str | None, delivery: str, *, now_ms: int
) -> list[delivery_status.Change]:
    """Set a locked outbound message and its records to a final state.

    Args:
        tx: the transaction.
        row: the outbound message.
        state: ``sent``, ``failed``, ``unknown`` or ``skipped``.
        reason: why.
        delivery: the new state of the records.
        now_ms: the time in Unix ms.

    Returns:
        What ``delivery_status.record_changes`` must record at the end of the transaction.
    """
    # A message that was decided before an erasure and written after it still has the address.
    nowhere = {"address": None} if reason == _ERASED else {}
    set_columns(tx, row.organization_id, row.id, state=state, reason=reason, settled_at_ms=now_ms, **nowhere)
    if row.purpose == "store-notice" and state == "failed" and reason != _OPTED_OUT:
        _clear_notified(tx, row)
    why = reason if delivery == "failed" else None
    return delivery_status.settle(tx, row.organization_id, row.id, delivery, why, now_ms=now_ms)


def settle(tx: Connection, started: Started, outcome: Outcome, opt_outs: OptOuts, *, now_ms: int) -> str:
    """Store the outcome of an attempt, unless another worker has claimed it.

    Args:
        tx: the transaction; nothing may follow in it.
        started: the attempt.
        outcome: its outcome.
        opt_outs: stores that a customer opted out with the provider.
        now_ms: the time in Unix ms.

    Returns:
        The state of the outbound message.
    """
    row = tx.execute(_locked(started.organization_id, started.id)).first()
    if row is None:
        return "gone"
    if row.state != "waiting" or row.attempts != started.attempt:
        # The provider's report may arrive before its response.
        if isinstance(outcome, Sent) and row.provider_id is None and row.attempts == started.attempt:
            set_columns(tx, row.organization_id, row.id, provider_id=outcome.provider_id)
        return str(row.state)
    changes: list[delivery_status.Change] = []
    state = "waiting"
    match outcome:
        case Sent(provider_id=provider_id):
            state = "sent"
            set_columns(tx, row.organization_id, row.id, provider_id=provider_id)
            changes = end(tx, row, state, None, "sent", now_ms=now_ms)
        case Refused(reason=reason):
            state = "failed"
            if reason == _OPTED_OUT:
                opt_outs.add(tx, row.organization_id, (row.channel, row.address), now_ms=now_ms)
            changes = end(tx, row, state, _short(reason), "failed", now_ms=now_ms)
        case Unknown() if started.is_resent or not started.channel.detects_repeats:
            state = "unknown"
            changes = end(tx, row, state, delivery_status.UNKNOWN, "failed", now_ms=now_ms)
        case Unknown():
            set_columns(tx, row.organization_id, row.id, reason=_TO_BE_RESENT, due_at_ms=now_ms + _pause_ms(started, 0))
        case TryLater(reason=reason, retry_after_s=asked_s):
            due_at_ms = now_ms + _pause_ms(started, asked_s or 0)
            if due_at_ms - row.created_at_ms > started.channel.too_late_ms:
                state = "failed"
                changes = end(tx, row, state, _short(reason), "failed", now_ms=now_ms)
            else:
                # A message that may have been sent stays so, whatever happens to later attempts.
                why = _TO_BE_RESENT if started.is_resent else _short(reason)
                set_columns(tx, row.organization_id, row.id, reason=why, due_at_ms=due_at_ms)
    delivery_status.record_changes(tx, row.organization_id, changes, now_ms=now_ms)
    return state


def give_up_waiting(tx: Connection, channels: Collection[str], *, now_ms: int, limit: int = 500) -> int:
    """End waiting messages as ``unknown`` while all is held back.

    They may have been sent since the backup.

    Args:
        tx: the transaction; nothing may follow in it.
        channels: the channels.
        now_ms: the time in Unix ms.
        limit: most messages of one call.

    Returns:
        How many there were; fewer than the limit if none is left.
    """
    waiting = (
        select(outbound_messages).where(WAITS, _D.channel.in_(sorted(channels))).order_by(_D.due_at_ms).limit(limit)
    )
    changes: dict[int, list[delivery_status.Change]] = {}
    rows = tx.execute(waiting.with_for_update()).all()
    for row in rows:
        changed = end(tx, row, "unknown", delivery_status.UNKNOWN, "failed", now_ms=now_ms)
        changes.setdefault(row.organization_id, []).extend(changed)
    for organization_id, of_one in sorted(changes.items()):
        delivery_status.record_changes(tx, organization_id, of_one, now_ms=now_ms)
    return len(rows)


def move_up(tx: Connection, by_ms: int, *, now_ms: int) -> None:
    """Make waiting messages due ``by_ms`` earlier.

    Attempts that have begun stay: their worker settles them.
    """
    earlier_ms = _D.due_at_ms - by_ms
    is_under_way = and_(_D.attempts > 0, or_(_D.reason.is_(None), _D.reason == _RESENT))
    tx.execute(
        update(outbound_messages)
        .where(WAITS, _D.due_at_ms > now_ms, not_(is_under_way))
        .values(due_at_ms=case((earlier_ms > now_ms, earlier_ms), else_=now_ms))
    )


def count_waiting(tx: Connection, channels: Collection[str]) -> int:
    """Count the waiting outbound messages of these channels, of all organizations."""
    return (
        tx.scalar(select(func.count()).select_from(outbound_messages).where(WAITS, _D.channel.in_(sorted(channels))))
        or 0
    )


def report(
    tx: Connection, organization_id: int, outbound_message_id: int, state: str, reason: str | None, *, now_ms: int
) -> bool:
    """Store a later report of a provider or a bounced email.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: the organization.
        outbound_message_id: the outbound message.
        state: ``sent``, ``delivered``, ``read`` or ``failed``.
        reason: why it failed, as a short name.
        now_ms: the time in Unix ms.

    Returns:
        Whether the outbound message exists.
    """
    row = tx.execute(_locked(organization_id, outbound_message_id)).first()
    if row is None:
        return False
    known = {"waiting": "queued", "unknown": "failed", "skipped": "read"}.get(row.state, row.state)
    known_reason = delivery_status.UNKNOWN if row.state == "unknown" else row.reason
    if delivery_status.is_later(known, known_reason, state):
        changes = end(tx, row, state, _short(reason) if reason else None, state, now_ms=now_ms)
        delivery_status.record_changes(tx, organization_id, changes, now_ms=now_ms)
    return True


def find_by_provider_id(tx: Connection, provider_id: str) -> tuple[int, int] | None:
    """Find organization and id of an outbound message by the provider's id."""
    row = tx.execute(select(_D.organization_id, _D.id).where(_D.provider_id == provider_id)).first()
    return None if row is None else (row.organization_id, row.id)


def find(tx: Connection, organization_id: int, outbound_message_id: int) -> Row[Any] | None:
    """Find the row of an outbound message."""
    return tx.execute(
        select(outbound_messages).where(_D.organization_id == organization_id, _D.id == outbound_message_id)
    ).first()


def _clear_notified(tx: Connection, row: Row[Any]) -> None:
    """Notify the business again of the next messages: this email has not reached it."""
    c, m = notification_state.c, message_deliveries.c
    # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
    carried = select(m.thread_id, m.sequence).where(
        m.organization_id + 0 == row.organization_id, m.outbound_message_id == row.id
    )
    by_this = and_(
        c.organization_id == row.organization_id, tuple_(c.thread_id, c.store_notified_sequence).in_(carried)
    )
    # In the order in which `schedule.py` writes them.
    thread_ids = tx.scalars(select(c.thread_id).where(by_this).order_by(c.thread_id).with_for_update()).all()
    these = and_(c.organization_id == row.organization_id, c.thread_id.in_(thread_ids))
    tx.execute(update(notification_state).where(these).values(store_notified_sequence=None))


def _locked(organization_id: int, outbound_message_id: int) -> Any:
    this = and_(_D.organization_id == organization_id, _D.id == outbound_message_id)
    return select(outbound_messages).where(this).with_for_update()


def set_columns(tx: Connection, organization_id: int, outbound_message_id: int, **columns: object) -> None:
    """Change columns of a locked outbound message."""
    this = and_(_D.organization_id == organization_id, _D.id == outbound_message_id)
    tx.execute(update(outbound_messages).where(this).values(**columns))


def _pause_ms(started: Started, asked_s: float) -> int:
    return round(1_000 * max(_PAUSES_S[min(started.attempt, len(_PAUSES_S)) - 1], asked_s))


def _short(reason: str) -> str:
    return reason[:64]
