"""Dispatches: claimed, and settled with what came of them. Their attempts are counted before they are sent.

One dispatch, one transaction. A lease is a due time in the future and the count of attempts its fence. While an
attempt is under way ``reason`` says nothing, or ``resent``: a dispatch that is found so when its lease is over may have
gone out. A text is then given up as ``unknown``: a second one costs money, and annoys. A mail is sent once more with
the same ``Message-ID``: many servers know it again, and one that comes twice is better than none; after that it is
given up, too.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, not_, or_, select, text, tuple_, update

from shopbell import installation
from shopbell.channels.channel import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.opt_outs import OptOuts
from shopbell.outreach import deliveries
from shopbell.outreach.decisions import TOO_LATE_MS
from shopbell.storage.customer_schema import dispatches, message_deliveries, thread_outreach
from shopbell.storage.ids import take_id

TEXTS = ("SMS", "WHATSAPP")
MAILS = ("EMAIL",)

_ERASED = "erased"
_OPTED_OUT = "opted_out"
_RESENT = "resent"
_TO_BE_RESENT = "to_be_resent"
_UNDER_WAY = (None, _RESENT)

_PUT_OFF_MS = 5 * 60 * 1_000
_HOUR_S = 60 * 60
_PAUSES_S = (30, 60, 300, 900, 1_800, _HOUR_S, 2 * _HOUR_S, 4 * _HOUR_S, 8 * _HOUR_S)

_D = dispatches.c
# Spelled out: it is the way to the index of those that wait.
WAITS = text("dispatches.state = 'waiting'")


@dataclass(frozen=True, slots=True)
class Due:
    """A dispatch that is due, its row locked.

    Args:
        row: its row.
        is_resent: whether it may have gone out once already.
    """

    row: Row[Any]
    is_resent: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A dispatch whose attempt is counted.

    Args:
        organization_id: whose.
        id: its own.
        channel: by which it goes.
        attempt: which attempt it is, from 1.
        is_resent: whether it may have gone out once already.
        created_at_ms: when it was decided, in Unix ms.
    """

    organization_id: int
    id: int
    channel: str
    attempt: int
    is_resent: bool
    created_at_ms: int


def next_due_ms(tx: Connection, channels: Collection[str]) -> int | None:
    """When the next dispatch of these channels is due, in Unix ms; None when none waits, or all are held back."""
    if installation.held_back(tx):
        return None
    query = select(func.min(_D.due_at_ms)).where(WAITS, _D.channel.in_(sorted(channels)))
    due_at_ms: int | None = tx.scalar(query)
    return due_at_ms


def take(tx: Connection, channels: Collection[str], busy: Collection[int], *, now_ms: int) -> Due | None:
    """Lock the dispatch that has been due for longest.

    Args:
        tx: the transaction.
        channels: by which it goes.
        busy: organizations that have their share already: theirs come when nobody else's is due.
        now_ms: the time in Unix ms.
    """
    due = (
        select(dispatches)
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


def is_lost(due: Due) -> bool:
    """Whether nobody can tell if it went out, and it is not sent again."""
    row = due.row
    if not due.is_resent:
        return False
    return row.channel in TEXTS or (row.attempts > 0 and row.reason == _RESENT)


def start(tx: Connection, due: Due, segments: int | None, *, lease_ms: int, now_ms: int) -> Started:
    """Count an attempt, which is made once this is committed."""
    row = due.row
    set_columns(
        tx,
        row.organization_id,
        row.id,
        attempts=row.attempts + 1,
        due_at_ms=now_ms + lease_ms,
        reason=_RESENT if due.is_resent else None,
        segments=segments,
    )
    return Started(row.organization_id, row.id, row.channel, row.attempts + 1, due.is_resent, row.created_at_ms)


def split(tx: Connection, row: Row[Any], last_sequence: int, *, now_ms: int) -> Row[Any]:
    """Let a locked dispatch carry its messages up to a place only. The rest goes to a customer with one of its own; a
    store, which is told that he waits, finds it in the conversation.

    Args:
        tx: the transaction.
        row: the dispatch's; it carries messages on both sides of the place.
        last_sequence: the place.
        now_ms: the time in Unix ms.

    Returns:
        The dispatch's row as it is now.
    """
    m = message_deliveries.c
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    of_dispatch = and_(m.organization_id + 0 == row.organization_id, m.dispatch_id == row.id)
    rest = and_(of_dispatch, m.thread_id == row.thread_id, m.sequence > last_sequence)
    if row.audience == "customer":
        first_of_rest = tx.scalar(select(func.min(m.sequence)).where(rest))
        fresh = {"id": take_id(tx), "first_sequence": first_of_rest, "attempts": 0, "due_at_ms": now_ms, "reason": None}
        tx.execute(insert(dispatches).values({**row._asdict(), **fresh}))
        tx.execute(update(message_deliveries).where(rest).values(dispatch_id=fresh["id"]))
    else:
        tx.execute(delete(message_deliveries).where(rest))
    set_columns(tx, row.organization_id, row.id, last_sequence=last_sequence)
    return tx.execute(_locked(row.organization_id, row.id)).one()


def put_off(tx: Connection, due: Due, until_ms: int) -> None:
    """Nothing is sent before this time, in Unix ms; no attempt is counted."""
    set_columns(tx, due.row.organization_id, due.row.id, due_at_ms=until_ms)


def put_off_first(tx: Connection, channels: Collection[str], busy: Collection[int], *, now_ms: int) -> None:
    """Let the dispatch that has been due for longest wait: it could not even be looked at, and others are behind it."""
    due = take(tx, channels, busy, now_ms=now_ms)
    if due is not None:
        put_off(tx, due, now_ms + _PUT_OFF_MS)


def end(
    tx: Connection, row: Row[Any], state: str, reason: str | None, delivery: str, *, now_ms: int
) -> list[deliveries.Change]:
    """Bring a locked dispatch into a final state, and the records of its messages with it.

    Args:
        tx: the transaction.
        row: the dispatch's.
        state: ``sent``, ``failed``, ``unknown`` or ``skipped``.
        reason: why.
        delivery: the state of the records.
        now_ms: the time in Unix ms.

    Returns:
        What ``deliveries.tell`` has to tell at the transaction's end.
    """
    # What was decided before an erasure and written down after it has not been emptied with the rest.
    nowhere = {"address": None} if reason == _ERASED else {}
    set_columns(tx, row.organization_id, row.id, state=state, reason=reason, settled_at_ms=now_ms, **nowhere)
    if row.purpose == "store-notice" and state == "failed" and reason != _OPTED_OUT:
        _forget_told(tx, row)
    why = reason if delivery == "failed" else None
    return deliveries.settle(tx, row.organization_id, row.id, delivery, why, now_ms=now_ms)


def settle(tx: Connection, started: Started, outcome: Outcome, opt_outs: OptOuts, *, now_ms: int) -> str:
    """Write down what came of an attempt; nothing when somebody else has it by now.

    Args:
        tx: the transaction; nothing may follow in it.
        started: the attempt.
        outcome: what came of it.
        opt_outs: hears of whoever told the provider that he wants nothing more.
        now_ms: the time in Unix ms.

    Returns:
        The state that it is in.
    """
    row = tx.execute(_locked(started.organization_id, started.id)).first()
    if row is None:
        return "gone"
    if row.state != "waiting" or row.attempts != started.attempt:
        # A report of the provider may have been here before its own answer.
        if isinstance(outcome, Sent) and row.provider_id is None and row.attempts == started.attempt:
            set_columns(tx, row.organization_id, row.id, provider_id=outcome.provider_id)
        return str(row.state)
    changes: list[deliveries.Change] = []
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
        case Unknown() if started.channel in TEXTS or started.is_resent:
            state = "unknown"
            changes = end(tx, row, state, deliveries.UNKNOWN, "failed", now_ms=now_ms)
        case Unknown():
            set_columns(tx, row.organization_id, row.id, reason=_TO_BE_RESENT, due_at_ms=now_ms + _pause_ms(started, 0))
        case TryLater(reason=reason, retry_after_s=asked_s):
            due_at_ms = now_ms + _pause_ms(started, asked_s or 0)
            if due_at_ms - row.created_at_ms > TOO_LATE_MS[started.channel]:
                state = "failed"
                changes = end(tx, row, state, _short(reason), "failed", now_ms=now_ms)
            else:
                # What may have gone out once stays so, whatever came of it since.
                why = _TO_BE_RESENT if started.is_resent else _short(reason)
                set_columns(tx, row.organization_id, row.id, reason=why, due_at_ms=due_at_ms)
    deliveries.tell(tx, row.organization_id, changes, now_ms=now_ms)
    return state


def give_up_waiting(tx: Connection, channels: Collection[str], *, now_ms: int, limit: int = 500) -> int:
    """End some of what waits as ``unknown``, while all is held back: since a backup it may have gone out.

    Args:
        tx: the transaction; nothing may follow in it.
        channels: by which it would go.
        now_ms: the time in Unix ms.
        limit: how many at most.

    Returns:
        How many there were; fewer than the limit when none is left.
    """
    waiting = select(dispatches).where(WAITS, _D.channel.in_(sorted(channels))).order_by(_D.due_at_ms).limit(limit)
    changes: dict[int, list[deliveries.Change]] = {}
    rows = tx.execute(waiting.with_for_update()).all()
    for row in rows:
        changed = end(tx, row, "unknown", deliveries.UNKNOWN, "failed", now_ms=now_ms)
        changes.setdefault(row.organization_id, []).extend(changed)
    for organization_id, of_one in sorted(changes.items()):
        deliveries.tell(tx, organization_id, of_one, now_ms=now_ms)
    return len(rows)


def move_up(tx: Connection, by_ms: int, *, now_ms: int) -> None:
    """Let everything that waits be due so much earlier. What is under way stays as it is: its worker settles it."""
    earlier_ms = _D.due_at_ms - by_ms
    is_under_way = and_(_D.attempts > 0, or_(_D.reason.is_(None), _D.reason == _RESENT))
    tx.execute(
        update(dispatches)
        .where(WAITS, _D.due_at_ms > now_ms, not_(is_under_way))
        .values(due_at_ms=case((earlier_ms > now_ms, earlier_ms), else_=now_ms))
    )


def count_waiting(tx: Connection, channels: Collection[str]) -> int:
    """How many dispatches of these channels wait, of all organizations."""
    return tx.scalar(select(func.count()).select_from(dispatches).where(WAITS, _D.channel.in_(sorted(channels)))) or 0


def report(
    tx: Connection, organization_id: int, dispatch_id: int, state: str, reason: str | None, *, now_ms: int
) -> bool:
    """Take what is heard of a dispatch later: a provider's report, or a mail that came back.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: whose.
        dispatch_id: its id.
        state: ``sent``, ``delivered``, ``read`` or ``failed``.
        reason: why it failed, as a short name.
        now_ms: the time in Unix ms.

    Returns:
        Whether there is such a dispatch.
    """
    row = tx.execute(_locked(organization_id, dispatch_id)).first()
    if row is None:
        return False
    known = {"waiting": "queued", "unknown": "failed", "skipped": "read"}.get(row.state, row.state)
    known_reason = deliveries.UNKNOWN if row.state == "unknown" else row.reason
    if deliveries.later_of(known, known_reason, state):
        changes = end(tx, row, state, _short(reason) if reason else None, state, now_ms=now_ms)
        deliveries.tell(tx, organization_id, changes, now_ms=now_ms)
    return True


def find_by_provider_id(tx: Connection, provider_id: str) -> tuple[int, int] | None:
    """Organization and id of the dispatch that a provider calls so."""
    row = tx.execute(select(_D.organization_id, _D.id).where(_D.provider_id == provider_id)).first()
    return None if row is None else (row.organization_id, row.id)


def find(tx: Connection, organization_id: int, dispatch_id: int) -> Row[Any] | None:
    """The row of a dispatch."""
    return tx.execute(select(dispatches).where(_D.organization_id == organization_id, _D.id == dispatch_id)).first()


def _forget_told(tx: Connection, row: Row[Any]) -> None:
    """Let the customers' next messages tell the store anew: this notice has not reached it."""
    c, m = thread_outreach.c, message_deliveries.c
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    carried = select(m.thread_id, m.sequence).where(
        m.organization_id + 0 == row.organization_id, m.dispatch_id == row.id
    )
    by_this = and_(c.organization_id == row.organization_id, tuple_(c.thread_id, c.store_told_sequence).in_(carried))
    # In the order in which they are written when something is decided.
    told = tx.scalars(select(c.thread_id).where(by_this).order_by(c.thread_id).with_for_update()).all()
    these = and_(c.organization_id == row.organization_id, c.thread_id.in_(told))
    tx.execute(update(thread_outreach).where(these).values(store_told_sequence=None))


def _locked(organization_id: int, dispatch_id: int) -> Any:
    this = and_(_D.organization_id == organization_id, _D.id == dispatch_id)
    return select(dispatches).where(this).with_for_update()


def set_columns(tx: Connection, organization_id: int, dispatch_id: int, **columns: object) -> None:
    """Change columns of a locked dispatch."""
    this = and_(_D.organization_id == organization_id, _D.id == dispatch_id)
    tx.execute(update(dispatches).where(this).values(**columns))


def _pause_ms(started: Started, asked_s: float) -> int:
    return round(1_000 * max(_PAUSES_S[min(started.attempt, len(_PAUSES_S)) - 1], asked_s))


def _short(reason: str) -> str:
    return reason[:64]
