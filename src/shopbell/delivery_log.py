"""The log of deliveries: what became of each event for a webhook, and how to send it again.

Locks are taken in the order of ``webhooks.py``. What is settled has no queue, and is changed by whoever holds its
webhook's row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, text, update

from shopbell import events, webhooks
from shopbell.errors import Conflict, NotFound
from shopbell.storage.delivery_schema import deliveries, delivery_attempts, delivery_queues
from shopbell.storage.delivery_schema import events as event_rows

TEST_EVENT: events.EventType = "webhook-test"
REPLAY_MAX = 10_000
"""Most deliveries that are sent again at one request, in several transactions."""

REPLAY_PIECE = 1_000
"""Most deliveries of one transaction: who writes a message waits for its queues, and others for him."""

_CLOCKS_MS = 10 * 60 * 1000
"""How much earlier than the event before it an event may be: several machines have several clocks."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver. Times are Unix ms.

    Args:
        number: 1 is the first.
        duration_ms: from the begin of the attempt to the end of the answer, or to the failure.
        status: the HTTP status of the answer, if there was one.
        error: why there was none, as ``outbound.failures`` names it.
        answer: how the answer's body began.
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
        event_type: what happened; None where the feed has forgotten it.
        thread_id: the conversation; None for a test.
        state: ``waiting``, ``delivered``, ``exhausted`` or ``skipped``.
        attempts: how many were begun.
        next_attempt_at_ms: when it is tried next; None where it is settled, or waits for an earlier one of its thread.
        last: what came of the last attempt that has ended.
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
    """What a piece of a replay did.

    Args:
        count: how many deliveries wait again.
        more: whether there are more than one piece takes up.
        last: the position of the last one, after which the next piece begins.
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
        tx: the transaction.
        organization_id: whose webhook it is.
        webhook_id: the webhook.
        before: only of events before this position.
        limit: how many at most.
        state: only of this state.
        since_ms: only of events from this time on, Unix ms.
        thread_id: only of this conversation.
        event_type: only of events of this type.

    Raises:
        NotFound: 404; there is no such webhook.
    """
    webhooks.check_exists(tx, organization_id, webhook_id)
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
    webhooks.check_exists(tx, organization_id, webhook_id)
    row = tx.execute(_select(*_of(organization_id, webhook_id)).where(deliveries.c.position == position)).first()
    if row is None:
        raise NotFound("deliveryId", "webhook")
    a = delivery_attempts.c
    of_this = (a.organization_id == organization_id, a.webhook_id == webhook_id, a.position == position)
    query = select(a.number, a.at_ms, a.duration_ms, a.status, a.error, a.answer).where(*of_this).order_by(a.number)
    return _delivery(row), [Attempt(**attempt) for attempt in tx.execute(query).mappings()]


def send_test(tx: Connection, organization_id: int, webhook_id: int, *, now_ms: int) -> int:
    """Send a webhook a test event, by the very way that all events go.

    Returns:
        The event's position.

    Raises:
        NotFound: 404; there is no such webhook.
        Conflict: 409; it is disabled.
    """
    _lock_enabled(tx, organization_id, webhook_id)
    position = events.record(tx, organization_id, TEST_EVENT, now_ms=now_ms, details={"webhookId": webhook_id})
    key = {"organization_id": organization_id, "webhook_id": webhook_id, "thread_id": 0, "position": position}
    tx.execute(insert(deliveries).values(**key, state="waiting", created_at_ms=now_ms))
    tx.execute(insert(delivery_queues).values(**key, background=position, due_at_ms=now_ms))
    return position


def replay(tx: Connection, organization_id: int, webhook_id: int, position: int, *, now_ms: int) -> None:
    """Send one delivery again, at once and beside all others; one that waits for its next attempt is tried now.

    Its id and its body stay as they were, its schedule begins anew. It holds up no other event of its conversation.

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
    queue = (q.organization_id == organization_id, q.webhook_id == webhook_id, q.thread_id == thread_id)
    # Whoever settles it holds its queue: only behind that lock is it certain what has become of it.
    tx.execute(
        select(q.position).where(*queue, q.background.in_((0, position))).order_by(q.background).with_for_update()
    )
    settled = update(deliveries).where(*of_this, d.state != "waiting")
    if tx.execute(settled.values(**_ANEW)).rowcount:
        key = {"organization_id": organization_id, "webhook_id": webhook_id, "thread_id": thread_id}
        tx.execute(insert(delivery_queues).values(**key, background=position, position=position, due_at_ms=now_ms))
        return
    at_its_head = (*queue, q.position == position, _is_not_under_way(now_ms))
    if tx.execute(update(delivery_queues).where(*at_its_head).values(due_at_ms=now_ms)).rowcount:
        tx.execute(update(deliveries).where(*of_this).values(step=0, first_attempt_at_ms=None))


def replay_all(
    tx: Connection,
    organization_id: int,
    webhook_id: int,
    *,
    state: str,
    since_ms: int,
    until_ms: int | None = None,
    after: int = 0,
    now_ms: int,
) -> Replayed:
    """Send a piece of a state's and a time's deliveries again: the oldest first, each conversation in its order.

    They go before what else waits in their conversation, and after what is under way. Ids and bodies stay as they were,
    the schedules begin anew.

    Args:
        tx: the transaction.
        organization_id: whose webhook it is.
        webhook_id: the webhook.
        state: ``delivered``, ``exhausted`` or ``skipped``.
        since_ms: of events from this time on, Unix ms.
        until_ms: of events before this time, Unix ms.
        after: only of events after this position: where the piece before has ended.
        now_ms: the time in Unix ms.

    Raises:
        NotFound: 404; there is no such webhook.
        Conflict: 409; it is disabled.
    """
    _lock_enabled(tx, organization_id, webhook_id)
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
    # Sorted, as messages do it: so that nobody waits in a circle.
    heads = [key | {"thread_id": thread_id, "position": first[thread_id]} for thread_id in sorted(first)]
    new = events.upsert(tx, delivery_queues).values(heads)
    tx.execute(
        new.on_conflict_do_update(
            index_elements=list(delivery_queues.primary_key.columns),
            set_={"position": new.excluded.position, "due_at_ms": new.excluded.due_at_ms, "leased_until_ms": None},
            # What is under way stays at the head until it is settled; then the first that waits comes next.
            where=and_(new.excluded.position < q.position, _is_not_under_way(now_ms)),
        )
    )
    return Replayed(count, more, last=piece[-1])


def _first_from(tx: Connection, organization_id: int, webhook_id: int, at_ms: int) -> int:
    """The position of about the first delivery of an event from a time on, in Unix ms: found by halving.

    Positions grow with time, but for what clocks differ; who asks for that much more misses nothing.
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


# Written out, so that both engines see that an index has them all.
_FAILED = text("deliveries.state IN ('exhausted', 'skipped')")
_OF_STATE: Mapping[str | None, tuple[Any, ...]] = {
    "waiting": (text("deliveries.state = 'waiting'"),),
    "exhausted": (deliveries.c.state == "exhausted", _FAILED),
    "skipped": (deliveries.c.state == "skipped", _FAILED),
}

_ANEW: Mapping[str, Any] = {"state": "waiting", "step": 0, "first_attempt_at_ms": None, "settled_at_ms": None}


def _lock_enabled(tx: Connection, organization_id: int, webhook_id: int) -> None:
    if not webhooks.lock(tx, organization_id, webhook_id):
        raise Conflict("The webhook is disabled; enable it first.")


def _is_not_under_way(now_ms: int) -> ColumnElement[bool]:
    leased_until_ms = delivery_queues.c.leased_until_ms
    return or_(leased_until_ms.is_(None), leased_until_ms <= now_ms)


def _of(organization_id: int, webhook_id: int, state: str | None = None) -> list[ColumnElement[bool]]:
    """The conditions of a webhook's deliveries, all of them or those of a state, as an index finds them.

    Delivered are most, as they are read anyway. The ``+ 0`` keeps both engines from the primary key, which knows more
    of the columns, but has the whole log.
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
