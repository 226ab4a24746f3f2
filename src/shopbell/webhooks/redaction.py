"""Removes customer data from deliveries: waiting ones are skipped, sent bodies and received answers are deleted."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, select, text, update

from shopbell.db.schema.webhooks import deliveries, delivery_attempts, delivery_queues, webhooks


def skip(tx: Connection, organization_id: int, thread_ids: Sequence[int], *, now_ms: int, limit: int) -> int:
    """Skip waiting deliveries of conversations.

    Args:
        thread_ids: the conversations.
        limit: how many deliveries at most.

    Returns:
        How many deliveries; 0 if none was left.
    """
    q, d, w = delivery_queues.c, deliveries.c, webhooks.c
    webhook_ids = tx.scalars(select(w.id).where(w.organization_id == organization_id).order_by(w.id)).all()
    queues = and_(q.organization_id == organization_id, q.webhook_id.in_(webhook_ids), q.thread_id.in_(thread_ids))
    # A transaction that changes a waiting delivery holds the lock of its queue.
    tx.execute(select(q.position).where(queues).order_by(*delivery_queues.primary_key.columns).with_for_update()).all()
    # The last ones first: a queue names its first waiting delivery and is deleted with it. The ``+ 0`` and the literal
    # state lead to the index of waiting deliveries.
    waiting = (
        select(d.webhook_id, d.position)
        .where(
            d.organization_id + 0 == organization_id,
            d.webhook_id.in_(webhook_ids),
            d.thread_id.in_(thread_ids),
            text("deliveries.state = 'waiting'"),
        )
        .order_by(d.webhook_id.desc(), d.thread_id.desc(), d.position.desc())
        .limit(limit)
    )
    positions: dict[int, list[int]] = {}
    for webhook_id, position in tx.execute(waiting):
        positions.setdefault(webhook_id, []).append(position)
    for webhook_id, some in positions.items():
        these = and_(d.organization_id == organization_id, d.webhook_id == webhook_id, d.position.in_(some))
        tx.execute(update(deliveries).where(these).values(state="skipped", settled_at_ms=now_ms))
        tx.execute(delete(delivery_queues).where(queues, q.webhook_id == webhook_id, q.position.in_(some)))
    return sum(len(some) for some in positions.values())


def empty(
    tx: Connection, organization_id: int, thread_ids: Sequence[int], *, until_ms: int = 2**63 - 1, limit: int
) -> int:
    """Delete the bodies and answers of deliveries of conversations; their times and states stay.

    Args:
        thread_ids: the conversations.
        until_ms: only deliveries of events up to this time, in Unix ms.
        limit: how many deliveries at most.

    Returns:
        How many deliveries; 0 if none was left.
    """
    d, a = deliveries.c, delivery_attempts.c
    # Nothing was answered to what was never sent: an attempt's delivery has a body until both go, here.
    with_body = (
        select(d.webhook_id, d.position)
        .where(
            d.organization_id == organization_id,
            d.thread_id.in_(thread_ids),
            d.created_at_ms <= until_ms,
            d.body.is_not(None),
        )
        .order_by(d.thread_id, d.created_at_ms)  # the order of the index, by which SQLite goes then
        .limit(limit)
    )
    positions: dict[int, list[int]] = {}
    for webhook_id, position in tx.execute(with_body):
        positions.setdefault(webhook_id, []).append(position)
    for webhook_id, some in positions.items():
        of_webhook = (d.organization_id == organization_id, d.webhook_id == webhook_id, d.position.in_(some))
        tx.execute(update(deliveries).where(*of_webhook).values(body=None))
        of_webhook = (a.organization_id == organization_id, a.webhook_id == webhook_id, a.position.in_(some))
        tx.execute(update(delivery_attempts).where(*of_webhook).values(answer=None))
    return sum(len(some) for some in positions.values())
