"""Mails that tell a store of customers who wait, when they are too many: the next one stands for those that do not go.

The records of messages whose own mail does not go are those of the mail that stands for them from then on: how many
conversations it stands for is counted from them, and what becomes of it is told of them.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, distinct, func, not_, select, update

from shopbell.outreach import deliveries, dispatches
from shopbell.storage.customer_schema import dispatches as dispatches_table
from shopbell.storage.customer_schema import message_deliveries
from shopbell.storage.schema import threads

PURPOSE = "store-notice"

_D, _M, _T = dispatches_table.c, message_deliveries.c, threads.c
_MESSAGES = message_deliveries.join(threads, and_(_T.organization_id == _M.organization_id, _T.id == _M.thread_id))
_WAITS = and_(_T.status == "waiting", _T.last_reply_sequence < _M.sequence)


def put_off(tx: Connection, row: Row[Any], business_id: int, until_ms: int, *, now_ms: int) -> None:
    """Send a locked notice at a time at the earliest, or let the one stand for it that waits for that time already.

    Args:
        tx: the transaction.
        row: the dispatch's; no attempt was made.
        business_id: whom it tells.
        until_ms: when the next one may go, in Unix ms; the same until one goes.
        now_ms: the time in Unix ms.
    """
    waits = (
        select(_D.id)
        .join(threads, and_(_T.organization_id == _D.organization_id, _T.id == _D.thread_id))
        .where(
            dispatches.WAITS,
            *(_D.due_at_ms == until_ms, _D.attempts == 0, _D.purpose == PURPOSE, _D.address == row.address),
            *(_D.organization_id + 0 == row.organization_id, _D.id != row.id, _T.business_id == business_id),
        )
        .order_by(_D.id)
        .limit(1)
        # Whoever holds it may wait for this business's mails to be counted, which is done here.
        .with_for_update(of=dispatches_table, skip_locked=True)
    )
    standing_id = tx.scalar(waits)
    if standing_id is None:
        dispatches.set_columns(tx, row.organization_id, row.id, due_at_ms=until_ms)
        return
    tx.execute(update(message_deliveries).where(_with(row)).values(dispatch_id=standing_id))
    ended = {"state": "skipped", "reason": "counted", "settled_at_ms": now_ms}
    dispatches.set_columns(tx, row.organization_id, row.id, **ended)


def count_others(tx: Connection, row: Row[Any]) -> int:
    """How many conversations wait beside its own for which a notice stands."""
    return tx.scalar(select(func.count(distinct(_M.thread_id))).select_from(_MESSAGES).where(_others(row), _WAITS)) or 0


def leave_out_answered(tx: Connection, row: Row[Any], *, now_ms: int) -> list[deliveries.Change]:
    """Let a locked notice stand only for conversations that wait; gives what ``deliveries.tell`` has to tell."""
    answered = select(_M.thread_id).distinct().select_from(_MESSAGES).where(_others(row), not_(_WAITS))
    thread_ids = tx.scalars(answered).all()
    if not thread_ids:
        return []
    return deliveries.settle(tx, row.organization_id, row.id, "read", thread_ids=thread_ids, now_ms=now_ms)


def pass_on(tx: Connection, row: Row[Any], *, now_ms: int) -> list[deliveries.Change] | None:
    """Let a locked notice be about the next of the conversations that it stands for: its own does not wait any more.

    Args:
        tx: the transaction.
        row: the dispatch's.
        now_ms: the time in Unix ms.

    Returns:
        What ``deliveries.tell`` has to tell at the transaction's end; None when it stands for none that waits.
    """
    first, last = func.min(_M.sequence).label("first"), func.max(_M.sequence).label("last")
    query = select(_M.thread_id, first, last).select_from(_MESSAGES).where(_others(row), _WAITS)
    following = tx.execute(query.group_by(_M.thread_id).order_by(_M.thread_id).limit(1)).first()
    if following is None:
        return None
    place = {"thread_id": following.thread_id, "first_sequence": following.first, "last_sequence": following.last}
    dispatches.set_columns(tx, row.organization_id, row.id, **place)
    own = (row.organization_id, row.id, "read")
    return deliveries.settle(tx, *own, thread_ids=[row.thread_id], now_ms=now_ms)


def _with(row: Row[Any]) -> ColumnElement[bool]:
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    return and_(_M.organization_id + 0 == row.organization_id, _M.dispatch_id == row.id)


def _others(row: Row[Any]) -> ColumnElement[bool]:
    return and_(_with(row), _M.thread_id != row.thread_id, _M.state == "queued")
