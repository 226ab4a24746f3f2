"""Deletes old deliveries, and gives up deliveries that were held for too long."""

from typing import Any

from sqlalchemy import Column, Connection, ScalarSelect, and_, delete, or_, select, tuple_, update

from shopbell.db.lock_order import try_job_lock
from shopbell.db.schema.webhooks import deliveries, delivery_attempts, delivery_queues, webhooks
from shopbell.webhooks.queues import DELIVERY_KEY, QUEUE_KEY, WAITING, WEBHOOK_KEY, D, DeliveryKey, Q, W, advance
from shopbell.webhooks.retry_policy import WebhookKey

BATCH = 500
"""Most rows of one transaction, so that others do not wait long for it."""

DAY_MS = 86_400_000

_JOB = "delivery log"


def webhooks_with_a_log(tx: Connection, *, before_ms: int, now_ms: int) -> list[WebhookKey]:
    """Webhooks, including deleted ones, whose oldest delivery is of an event before a time in Unix ms.

    Also those whose oldest one is from the future: older ones may follow.
    """
    oldest_at_ms = _oldest(D.created_at_ms)
    with_one = select(*WEBHOOK_KEY).where(or_(oldest_at_ms < before_ms, oldest_at_ms > now_ms))
    return [(row[0], row[1]) for row in tx.execute(with_one.order_by(*WEBHOOK_KEY))]


def forget_webhooks(tx: Connection, *, before_ms: int) -> None:
    """Delete the rows of webhooks that were deleted before a time in Unix ms and have no deliveries left."""
    if not try_job_lock(tx, _JOB):
        return
    tx.execute(delete(webhooks).where(W.deleted_at_ms < before_ms, _oldest(D.position).is_(None)))


def _oldest(column: Column[Any]) -> ScalarSelect[Any]:
    """A column of a webhook's oldest delivery: one index look-up per webhook."""
    of_webhook = select(column).where(D.organization_id == W.organization_id, D.webhook_id == W.id)
    return of_webhook.order_by(*DELIVERY_KEY).limit(1).scalar_subquery()


def unwanted(tx: Connection) -> list[WebhookKey]:
    """Webhooks that were disabled by hand or deleted, but have waiting deliveries.

    A message that was being stored at that moment may have added one.
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


def forget(tx: Connection, webhook: WebhookKey, after: int, *, before_ms: int, now_ms: int) -> int | None:
    """Delete one batch of a webhook's old deliveries with their attempts.

    Args:
        webhook: the webhook.
        after: the position before the batch; 0 at first.
        before_ms: deliveries that were settled before this time, in Unix ms, are old.
        now_ms: the time in Unix ms.

    Returns:
        The position before the next batch; None if there is none, or another process does it.
    """
    if not try_job_lock(tx, _JOB):
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
    # Positions grow with time: after a recent event there is no old one, unless a clock ran ahead.
    is_done = len(rows) < BATCH or before_ms <= rows[-1].created_at_ms <= now_ms
    return None if is_done else rows[-1].position


def give_up_held(tx: Connection, *, before_ms: int, now_ms: int) -> bool:
    """Give up one batch of old deliveries that are held because Shopbell disabled their webhook.

    Args:
        before_ms: deliveries of events before this time, in Unix ms, are old.

    Returns:
        Whether there may be another batch.
    """
    held = (
        select(*QUEUE_KEY, Q.position)
        .join(webhooks, (W.organization_id == Q.organization_id) & (W.id == Q.webhook_id))
        .outerjoin(
            deliveries,
            (D.organization_id == Q.organization_id) & (D.webhook_id == Q.webhook_id) & (D.position == Q.position),
        )
        .where(~W.enabled, W.disabled_reason.is_not(None))
        # No claim moves on a queue that waited for a failing delivery.
        .where(or_(and_(WAITING, D.created_at_ms < before_ms), and_(Q.position == 0, Q.due_at_ms <= now_ms)))
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
    advance(tx, dict.fromkeys(queues, now_ms), now_ms=now_ms)
    return True
