"""What waits for a webhook: put aside when its owner switches it off, or begun anew when it is switched on again.

The caller holds the lock of the webhook's row. Then come its organization's feed and the queues: with the feed's lock
no new delivery can come between the statements. All writers of the organization wait behind that one, so what waits is
put aside in pieces, and what is begun anew writes only the rows that differ.
"""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal, or_, select, text, update

from shopbell.events import upsert
from shopbell.storage.delivery_schema import deliveries, delivery_queues, feeds

PIECE = 1_000
"""Most deliveries that one transaction puts aside."""

_D, _Q = deliveries.c, delivery_queues.c
# Written out, so that both engines see that the index of unsettled deliveries has them all.
_WAITING = text("deliveries.state = 'waiting'")


def skip(tx: Connection, organization_id: int, webhook_id: int, *, now_ms: int) -> bool:
    """Settle, as ``skipped``, a piece of what waits for a webhook for which no more deliveries are made.

    Args:
        tx: the transaction, which holds the webhook's row.
        organization_id: whose webhook it is.
        webhook_id: the webhook.
        now_ms: the time in Unix ms.

    Returns:
        Whether more waits.
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
    """Begin anew with all that is held: each conversation from its first event on, with the whole schedule.

    Args:
        tx: the transaction, which holds the webhook's row.
        organization_id: whose webhook it is.
        webhook_id: the webhook.
        now_ms: the time in Unix ms.
    """
    _lock_feed(tx, organization_id)
    here = (_Q.organization_id == organization_id, _Q.webhook_id == webhook_id)
    divided = select(_Q.thread_id).where(*here, _Q.background != 0)
    # A queue that nobody has tried yet has long been due, and begins with the first of its thread.
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
    """The ``+ 0`` keeps both engines from the primary key, which knows more of the columns, but has the whole log."""
    return _D.organization_id + 0 == organization_id, _D.webhook_id == webhook_id, _WAITING
