"""The delivery log: lists deliveries with their attempts, and sends them again.

Locks are taken in the order of ``webhooks/endpoints.py``. A settled delivery has no queue; it is protected by the lock
of its webhook's row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, insert, or_, select, text, update

from shopbell.db.schema.webhooks import deliveries, delivery_attempts, delivery_queues
from shopbell.db.schema.webhooks import events as event_rows
from shopbell.errors import Conflict, NotFound
from shopbell.events import record
from shopbell.events.actors import Actor
from shopbell.webhooks import endpoints
from shopbell.webhooks.payloads import TEST_EVENT
from shopbell.webhooks.queues import FIRST_OF_THREAD

State = Literal["waiting", "delivered", "exhausted", "skipped"]
Settled = Literal["delivered", "exhausted", "skipped"]

REPLAY_MAX = 10_000
"""Most deliveries that one request sends again, in several transactions."""

REPLAY_PIECE = 1_000
"""Most deliveries of one transaction: writers of messages wait for its queues."""

_CLOCKS_MS = 10 * 60 * 1000
"""How much earlier than the previous event an event may be: the clocks of machines differ."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver. Times are Unix ms.

    Args:
        number: 1 is the first.
        duration_ms: from the start of the attempt to the end of the response or to the failure.
        status: the HTTP status of the response, if any.
        error: why there was no response, as ``safe_http`` names it.
        answer: the beginning of the response's body.
    """

    number: int
    at_ms: int
    duration_ms: int
    status: int | None
    error: str | None
    answer: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook. Times are Unix ms.

    Args:
        position: the event's position in its organization's feed.
        event_type: None if the event was deleted from the feed.
        thread_id: the conversation; None for a test.
        state: ``waiting``, ``delivered``, ``exhausted`` or ``skipped``.
        attempts: how many attempts were started.
        next_attempt_at_ms: None if it is settled, or waits for an earlier delivery of its thread.
        last: the last attempt that has ended.
    """

    position: int
    event_type: str | None
    thread_id: int | None
    thread_sequence: int | None
    message_id: int | None
    state: str
    attempts: int
    created_at_ms: int
    next_attempt_at_ms: int | None
    settled_at_ms: int | None
    last: Attempt | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of one batch of a replay.

    Args:
        count: how many deliveries wait again.
        more: whether there is another batch.
        last: the position of the last delivery; the next batch begins after it.
    """

    count: int
    more: bool
    last: int = 0


def find(
    tx: Connection,
    organization_id: int,
    webhook_id: int,
    *,
    before: int | None = None,
    limit: int,
    state: str | None = None,
    since_ms: int | None = None,
    thread_id: int | None = None,
    event_type: str | None = None,
) -> list[Delivery]:
    """Deliveries of a webhook, the newest event first.

    Args:
        before: only events before this position.
        limit: how many at most.
        state: only deliveries in this state.
        since_ms: only events at or after this time, in Unix ms.
        thread_id: only this conversation.
        event_type: only events of this type.

    Raises:
        NotFound: 404; there is no such webhook.
    """
    endpoints.check_exists(tx, organization_id, webhook_id)
    d = deliveries.c
    query = _select(*_of(organization_id, webhook_id, state))
    if before is not None:
        query = query.where(d.position < before)
    if since_ms is not None:
        since = _first_from(tx, organization_id, webhook_id, since_ms - _CLOCKS_MS)
        query = query.where(d.position >= since, d.created_at_ms >= since_ms)
    for column, value in ((d.thread_id, thread_id), (event_rows.c.type, event_type)):
        if value is not None:
            query = query.where(column == value)
    return [_delivery(row) for row in tx.execute(query.order_by(d.position.desc()).limit(limit))]


def get(tx: Connection, organization_id: int, webhook_id: int, position: int) -> tuple[Delivery, list[Attempt]]:
    """A delivery and all its attempts, the first one first.

    Raises:
        NotFound: 404; there is no such webhook or delivery.
    """
    endpoints.check_exists(tx, organization_id, webhook_id)
    row = tx.execute(_select(*_of(organization_id, webhook_id)).where(deliveries.c.position == position)).first()
    if row is None:
        raise NotFound("deliveryId", "webhook")
    a = delivery_attempts.c
    of_this = (a.organization_id == organization_id, a.webhook_id == webhook_id, a.position == position)
    query = select(a.number, a.at_ms, a.duration_ms, a.status, a.error, a.answer).where(*of_this).order_by(a.number)
    return _delivery(row), [Attempt(**attempt) for attempt in tx.execute(query).mappings()]


def send_test(tx: Connection, organization_id: int, webhook_id: int, *, actor: Actor, now_ms: int) -> int:
    """Send a test event to a webhook, delivered like any other event.

    Returns:
        The event's position.

    Raises:
        NotFound: 404; there is no such webhook.
        Conflict: 409; it is disabled.
    """
    _lock_enabled(tx, organization_id, webhook_id)
    endpoints.audit_webhook(tx, organization_id, webhook_id, "test", actor=actor.name, now_ms=now_ms)
    position = record.record(
        tx, organization_id, TEST_EVENT, actor=actor, now_ms=now_ms, details={"webhookId": webhook_id}
    )
    key = {"organization_id": organization_id, "webhook_id": webhook_id, "thread_id": 0, "position": position}
    tx.execute(insert(deliveries).values(**key, state="waiting", created_at_ms=now_ms))
    tx.execute(insert(delivery_queues).values(**key, background=position, due_at_ms=now_ms))
    return position


def replay(tx: Connection, organization_id: int, webhook_id: int, position: int, *, actor: str, now_ms: int) -> None:
    """Send one delivery again at once; one that waits for its next attempt is tried now.

    It keeps its id and body, and its retry schedule starts over. No other event of its conversation waits for it.

    Raises:
        NotFound: 404; there is no such webhook or delivery.
        Conflict: 409; the webhook is disabled.
    """
    _lock_enabled(tx, organization_id, webhook_id)
    d, q = deliveries.c, delivery_queues.c
    of_this = (d.organization_id == organization_id, d.webhook_id == webhook_id, d.position == position)
    thread_id = tx.scalar(select(d.thread_id).where(*of_this))
    if thread_id is None:
        raise NotFound("deliveryId", "webhook")
    endpoints.audit_webhook(tx, organization_id, webhook_id, "replay", actor=actor, now_ms=now_ms)
    queue = (q.organization_id == organization_id, q.webhook_id == webhook_id, q.thread_id == thread_id)
    # The worker that settles it holds the lock of its queue: only behind that lock is its state final.
    tx.execute(
        select(q.position).where(*queue, q.background.in_((0, position))).order_by(q.background).with_for_update()
    )
    settled = update(deliveries).where(*of_this, d.state != "waiting")
    if tx.execute(settled.values(**_ANEW)).rowcount:
        key = {"organization_id": organization_id, "webhook_id": webhook_id, "thread_id": thread_id}
        tx.execute(insert(delivery_queues).values(**key, background=position, position=position, due_at_ms=now_ms))
        return
    is_next = or_(q.position == position, and_(q.position == 0, position == FIRST_OF_THREAD))
    at_its_head = (*queue, is_next, _is_not_under_way(now_ms))
    if tx.execute(update(delivery_queues).where(*at_its_head).values(due_at_ms=now_ms)).rowcount:
        tx.execute(update(deliveries).where(*of_this).values(step=0, first_attempt_at_ms=None))


def replay_all(
    tx: Connection,
    organization_id: int,
    webhook_id: int,
    *,
    state: Settled,
    since_ms: int,
    until_ms: int | None = None,
    after: int = 0,
    actor: str,
    now_ms: int,
) -> Replayed:
    """Send one batch of the deliveries of a state and a time again, the oldest first.

    In their conversation they come after the delivery that is being sent and before all that wait. They keep their ids
    and bodies, and their retry schedules start over. The audit log has one entry, written with the first batch.

    Args:
        state: ``delivered``, ``exhausted`` or ``skipped``.
        since_ms: only events at or after this time, in Unix ms.
        until_ms: only events before this time, in Unix ms.
        after: ``last`` of the previous batch; 0 for the first batch.
        actor: who sends them again, as the audit log names them.

    Raises:
        NotFound: 404; there is no such webhook.
        Conflict: 409; it is disabled.
    """
    _lock_enabled(tx, organization_id, webhook_id)
    if not after:
        endpoints.audit_webhook(tx, organization_id, webhook_id, "replay", actor=actor, now_ms=now_ms)
    d, q = deliveries.c, delivery_queues.c
    wanted = [*_of(organization_id, webhook_id, state), d.created_at_ms >= since_ms, d.position > after]
    wanted.append(d.position >= _first_from(tx, organization_id, webhook_id, since_ms - _CLOCKS_MS))
    if until_ms is not None:
        wanted.append(d.created_at_ms < until_ms)
        wanted.append(d.position <= _first_from(tx, organization_id, webhook_id, until_ms + _CLOCKS_MS))
    positions = tx.scalars(select(d.position).where(*wanted).order_by(d.position).limit(REPLAY_PIECE + 1)).all()
    piece, more = positions[:REPLAY_PIECE], len(positions) > REPLAY_PIECE
    of_these = (d.organization_id == organization_id, d.webhook_id == webhook_id)
    these = update(deliveries).where(*of_these, d.position.in_(piece), d.state == state)
    first: dict[int, int] = {}
    count = 0
    for thread_id, position in tx.execute(these.values(**_ANEW).returning(d.thread_id, d.position)):
        count += 1
        first[thread_id] = min(position, first.get(thread_id, position))
    if not first:
        return Replayed(0, more, last=max(piece, default=after))
    key = {"organization_id": organization_id, "webhook_id": webhook_id, "background": 0, "due_at_ms": now_ms}
    # Sorted as in the transactions of messages, so that there are no deadlocks.
    heads = [key | {"thread_id": thread_id, "position": first[thread_id]} for thread_id in sorted(first)]
    new = record.upsert(tx, delivery_queues).values(heads)
    tx.execute(
        new.on_conflict_do_update(
            index_elements=list(delivery_queues.primary_key.columns),
            set_={
                "position": case((q.position == 0, 0), else_=new.excluded.position),
                "due_at_ms": new.excluded.due_at_ms,
                "leased_until_ms": None,
            },
            # A delivery that is being sent stays at the head until it is settled; then the first waiting one follows.
            where=and_(or_(q.position == 0, new.excluded.position < q.position), _is_not_under_way(now_ms)),
        )
    )
    return Replayed(count, more, last=piece[-1])


def _first_from(tx: Connection, organization_id: int, webhook_id: int, at_ms: int) -> int:
    """The approximate position of the first delivery of an event at or after a time, found by binary search.

    Positions grow with time, except for differences between clocks. A caller that allows for them misses nothing.
    """
    d = deliveries.c
    here = (d.organization_id == organization_id, d.webhook_id == webhook_id)
    low, high = tx.execute(select(*(_outermost(here, order) for order in (d.position, d.position.desc())))).one()
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        next_one = select(d.position, d.created_at_ms).where(*here, d.position >= middle).order_by(d.position).limit(1)
        row = tx.execute(next_one).first()
        if row is not None and row.created_at_ms < at_ms:
            low = row.position + 1
        else:
            high = middle
    return int(low)


def _outermost(here: tuple[ColumnElement[bool], ...], order: ColumnElement[Any]) -> Any:
    return select(deliveries.c.position).where(*here).order_by(order).limit(1).scalar_subquery()


# A literal, so that both engines use the partial index.
_FAILED = text("deliveries.state IN ('exhausted', 'skipped')")
_OF_STATE: Mapping[str | None, tuple[Any, ...]] = {
    "waiting": (text("deliveries.state = 'waiting'"),),
    "exhausted": (deliveries.c.state == "exhausted", _FAILED),
    "skipped": (deliveries.c.state == "skipped", _FAILED),
}

_ANEW: Mapping[str, Any] = {"state": "waiting", "step": 0, "first_attempt_at_ms": None, "settled_at_ms": None}


def _lock_enabled(tx: Connection, organization_id: int, webhook_id: int) -> None:
    if not endpoints.lock(tx, organization_id, webhook_id):
        raise Conflict("The webhook is disabled. Enable it first.")


def _is_not_under_way(now_ms: int) -> ColumnElement[bool]:
    leased_until_ms = delivery_queues.c.leased_until_ms
    return or_(leased_until_ms.is_(None), leased_until_ms <= now_ms)


def _of(organization_id: int, webhook_id: int, state: str | None = None) -> list[ColumnElement[bool]]:
    """The conditions for the deliveries of a webhook, all or those in a state, in the form that uses an index.

    Most deliveries are delivered: for these the primary key is best. For the others, the ``+ 0`` keeps both engines off
    the primary key, which matches more columns but contains the whole log.
    """
    d = deliveries.c
    if state not in _OF_STATE:
        here = [d.organization_id == organization_id, d.webhook_id == webhook_id]
        return here if state is None else [*here, d.state == state]
    return [d.organization_id + 0 == organization_id, d.webhook_id == webhook_id, *_OF_STATE[state]]


def _select(*wanted: ColumnElement[bool]) -> Select[Any]:
    d, q, e, a = deliveries.c, delivery_queues.c, event_rows.c, delivery_attempts.c
    of_delivery = (a.organization_id == d.organization_id, a.webhook_id == d.webhook_id, a.position == d.position)
    newest = delivery_attempts.alias("newest")
    last = select(func.max(newest.c.number)).where(
        newest.c.organization_id == d.organization_id,
        newest.c.webhook_id == d.webhook_id,
        newest.c.position == d.position,
    )
    queued = (
        q.organization_id == d.organization_id,
        q.webhook_id == d.webhook_id,
        q.thread_id == d.thread_id,
        q.position == d.position,
        d.state == "waiting",
    )
    happened = (e.organization_id == d.organization_id, e.position == d.position)
    return (
        select(
            *(d.position, d.thread_id, d.state, d.attempts, d.created_at_ms, d.settled_at_ms),
            *(e.type, e.thread_sequence, e.message_id, q.due_at_ms),
            *(a.number, a.at_ms, a.duration_ms, a.status, a.error, a.answer),
        )
        .select_from(deliveries)
        .outerjoin(event_rows, and_(*happened))
        .outerjoin(delivery_queues, and_(*queued))
        .outerjoin(delivery_attempts, and_(*of_delivery, a.number == last.scalar_subquery()))
        .where(*wanted)
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        position=row.position,
        event_type=row.type,
        thread_id=row.thread_id or None,
        thread_sequence=row.thread_sequence,
        message_id=row.message_id,
        state=row.state,
        attempts=row.attempts,
        created_at_ms=row.created_at_ms,
        next_attempt_at_ms=row.due_at_ms,
        settled_at_ms=row.settled_at_ms,
        last=None
        if row.number is None
        else Attempt(row.number, row.at_ms, row.duration_ms, row.status, row.error, row.answer),
    )
