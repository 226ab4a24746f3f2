"""Waiting deliveries of a webhook: skipped when it is disabled, restarted when it is enabled again.

The caller holds the lock of the webhook's row. Then its organization's feed and the queues are locked. The feed's lock
keeps out new deliveries, and all writers of the organization wait for it. So deliveries are skipped in batches, and
a restart writes only the rows that change.
"""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal, or_, select, text, update

from shopbell.db.schema.webhooks import deliveries, delivery_queues, feeds
from shopbell.events.record import upsert

PIECE = 1_000
"""Most deliveries that one transaction skips."""

_D, _Q = deliveries.c, delivery_queues.c
# A literal, so that both engines use the partial index of waiting deliveries.
_WAITING = text("deliveries.state = 'waiting'")


def skip(tx: Connection, organization_id: int, webhook_id: int, *, now_ms: int) -> bool:
    """Skip one batch of the waiting deliveries of a webhook that receives no more.

    Args:
        tx: the transaction; it holds the lock of the webhook's row.

    Returns:
        Whether there is another batch.
    """
    _lock_feed(tx, organization_id)
    of_webhook = _waiting_for(organization_id, webhook_id)
    page = select(_D.thread_id, _D.position).where(*of_webhook).order_by(_D.thread_id, _D.position)
    rows = tx.execute(page.limit(PIECE + 1)).all()
    piece, following = rows[:PIECE], rows[PIECE] if len(rows) > PIECE else None
    here = [_Q.organization_id == organization_id, _Q.webhook_id == webhook_id]
    if following is not None:
        here.append(_Q.thread_id <= piece[-1].thread_id)
    tx.execute(select(_Q.position).where(*here).order_by(_Q.thread_id, _Q.background).with_for_update())
    these = (_D.organization_id == organization_id, _D.webhook_id == webhook_id)
    skipped = update(deliveries).where(*these, _D.position.in_([row.position for row in piece]), _WAITING)
    tx.execute(skipped.values(state="skipped", settled_at_ms=now_ms))
    tx.execute(delete(delivery_queues).where(*here))
    if following is not None and following.thread_id == piece[-1].thread_id:
        key = {"organization_id": organization_id, "webhook_id": webhook_id, "thread_id": following.thread_id}
        tx.execute(insert(delivery_queues).values(**key, background=0, position=following.position, due_at_ms=now_ms))
    return following is not None


def release(tx: Connection, organization_id: int, webhook_id: int, *, now_ms: int) -> None:
    """Restart all held deliveries: each conversation from its first event, with a new retry schedule.

    Args:
        tx: the transaction; it holds the lock of the webhook's row.
    """
    _lock_feed(tx, organization_id)
    here = (_Q.organization_id == organization_id, _Q.webhook_id == webhook_id)
    divided = select(_Q.thread_id).where(*here, _Q.background != 0)
    # Queues without an attempt are due already and begin with the first delivery of their thread: leave them.
    late = (*here, or_(_Q.due_at_ms > now_ms, _Q.leased_until_ms.is_not(None), _Q.thread_id.in_(divided)))
    tx.execute(select(_Q.position).where(*late).order_by(_Q.thread_id, _Q.background).with_for_update())
    first = (
        select(_Q.organization_id, _Q.webhook_id, _Q.thread_id, literal(0), func.min(_Q.position), literal(now_ms))
        .where(*late)
        .group_by(_Q.organization_id, _Q.webhook_id, _Q.thread_id)
    )
    names = ["organization_id", "webhook_id", "thread_id", "background", "position", "due_at_ms"]
    whole = upsert(tx, delivery_queues).from_select(names, first)
    tx.execute(
        whole.on_conflict_do_update(
            index_elements=list(delivery_queues.primary_key.columns),
            set_={"position": whole.excluded.position, "due_at_ms": now_ms, "leased_until_ms": None},
        )
    )
    tx.execute(delete(delivery_queues).where(*here, _Q.background != 0))
    tried = or_(_D.step != 0, _D.first_attempt_at_ms.is_not(None))
    begun = update(deliveries).where(*_waiting_for(organization_id, webhook_id), tried)
    tx.execute(begun.values(step=0, first_attempt_at_ms=None))


def _lock_feed(tx: Connection, organization_id: int) -> None:
    tx.execute(select(feeds).where(feeds.c.organization_id == organization_id).with_for_update())


def _waiting_for(organization_id: int, webhook_id: int) -> tuple[Any, ...]:
    """The ``+ 0`` keeps both engines off the primary key, which matches more columns but contains the whole log."""
    return _D.organization_id + 0 == organization_id, _D.webhook_id == webhook_id, _WAITING
