"""The delivery log: what is old is deleted, and what was held for too long is given up."""

from typing import Any

from sqlalchemy import Column, Connection, ScalarSelect, delete, select, tuple_, update

from shopbell.outbox.queues import DELIVERY_KEY, QUEUE_KEY, WAITING, WEBHOOK_KEY, D, DeliveryKey, Q, W, advance
from shopbell.schedule import WebhookKey
from shopbell.storage.delivery_schema import deliveries, delivery_attempts, delivery_queues, webhooks
from shopbell.storage.turns import take_turn

BATCH = 500
"""Most rows of one transaction, so that nothing else waits long behind it."""

DAY_MS = 86_400_000

_JOB = "delivery log"


def webhooks_with_a_log(tx: Connection, *, before_ms: int) -> list[WebhookKey]:
    """The webhooks, deleted ones too, whose oldest delivery is of an event from before a time, in Unix ms."""
    with_one = select(*WEBHOOK_KEY).where(_oldest(D.created_at_ms) < before_ms)
    return [(row[0], row[1]) for row in tx.execute(with_one.order_by(*WEBHOOK_KEY))]


def forget_webhooks(tx: Connection, *, before_ms: int) -> None:
    """Delete what is left of webhooks that were deleted before a time, in Unix ms, and of which the log has nothing."""
    if not take_turn(tx, _JOB):
        return
    tx.execute(delete(webhooks).where(W.deleted_at_ms < before_ms, _oldest(D.position).is_(None)))


def _oldest(column: Column[Any]) -> ScalarSelect[Any]:
    """A column of a webhook's oldest delivery: one look into the key for each webhook, and never all deliveries."""
    of_webhook = select(column).where(D.organization_id == W.organization_id, D.webhook_id == W.id)
    return of_webhook.order_by(*DELIVERY_KEY).limit(1).scalar_subquery()


def unwanted(tx: Connection) -> list[WebhookKey]:
    """The webhooks that their owners switched off or deleted, and for which something waits nevertheless.

    A message that was being written meanwhile still saw the webhook, and promised it a delivery.
    """
    waiting = (
        select(D.position)
        .where(D.organization_id + 0 == W.organization_id, D.webhook_id == W.id, WAITING)  # as in `due_queues`
        .order_by(D.webhook_id, D.thread_id, D.position)
        .limit(1)
        .scalar_subquery()
    )
    off = select(*WEBHOOK_KEY).where(~W.enabled, W.disabled_reason.is_(None), waiting.is_not(None))
    return [(row[0], row[1]) for row in tx.execute(off.order_by(*WEBHOOK_KEY))]


def forget(tx: Connection, webhook: WebhookKey, after: int, *, before_ms: int) -> int | None:
    """Delete a piece of a webhook's log: deliveries that were settled before a time, and their attempts.

    Args:
        tx: the transaction.
        webhook: whose log.
        after: the position up to which it was looked through; 0 at first.
        before_ms: what was settled before it is old, in Unix ms.

    Returns:
        Where to go on; None when all that is old was seen, or another process does it.
    """
    if not take_turn(tx, _JOB):
        return None
    organization_id, webhook_id = webhook
    page = select(D.position, D.created_at_ms, D.settled_at_ms, D.state).where(
        D.organization_id == organization_id, D.webhook_id == webhook_id, D.position > after
    )
    rows = tx.execute(page.order_by(D.position).limit(BATCH)).all()
    old = [row.position for row in rows if row.state != "waiting" and (row.settled_at_ms or 0) < before_ms]
    for table in (delivery_attempts, deliveries) if old else ():
        c = table.c
        here = (c.organization_id == organization_id, c.webhook_id == webhook_id, c.position.in_(old))
        tx.execute(delete(table).where(*here))
    # Positions grow with time: behind one that is young there is nothing old.
    is_done = len(rows) < BATCH or rows[-1].created_at_ms >= before_ms
    return None if is_done else rows[-1].position


def give_up_held(tx: Connection, *, before_ms: int, now_ms: int) -> bool:
    """Settle, as ``exhausted``, deliveries that a switched-off webhook has held since before a time: a piece of them.

    Args:
        tx: the transaction.
        before_ms: events from before it are given up, in Unix ms.
        now_ms: the time in Unix ms.

    Returns:
        Whether there may be more.
    """
    held = (
        select(*QUEUE_KEY, Q.position)
        .join(webhooks, (W.organization_id == Q.organization_id) & (W.id == Q.webhook_id))
        .join(
            deliveries,
            (D.organization_id == Q.organization_id) & (D.webhook_id == Q.webhook_id) & (D.position == Q.position),
        )
        .where(~W.enabled, W.disabled_reason.is_not(None), WAITING, D.created_at_ms < before_ms)
        .order_by(*QUEUE_KEY)
        .limit(BATCH)
        .with_for_update(of=delivery_queues, skip_locked=True)
    )
    queues = {(row[0], row[1], row[2], row[3]): (row[0], row[1], row[4]) for row in tx.execute(held)}
    keys: list[DeliveryKey] = sorted(queues.values())
    if not keys:
        return False
    given_up = update(deliveries).where(tuple_(*DELIVERY_KEY).in_(keys), WAITING)
    tx.execute(given_up.values(state="exhausted", settled_at_ms=now_ms))
    advance(tx, dict.fromkeys(queues, now_ms))
    return True
