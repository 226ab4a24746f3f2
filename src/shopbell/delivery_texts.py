"""What deliveries hold of what people wrote: the bodies that were sent, and the answers, which may repeat them."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from shopbell.storage.delivery_schema import deliveries, delivery_attempts


def empty(
    tx: Connection, organization_id: int, thread_ids: Sequence[int], *, until_ms: int = 2**63 - 1, limit: int
) -> int:
    """Take the texts of conversations out of the log of deliveries; when each was sent, and what came of it, stays.

    Args:
        tx: the transaction.
        organization_id: whose conversations.
        thread_ids: the conversations.
        until_ms: only deliveries of what happened up to this time, in Unix ms.
        limit: how many deliveries at most.

    Returns:
        How many: when there are none left, 0.
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
