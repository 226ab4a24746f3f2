"""Combine emails to a business about waiting customers, if there are too many.

The next one stands for those that are not sent.

The delivery records of messages whose email is not sent move to the email that stands for them. Their number tells how
many conversations it stands for, and they get its outcome.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, distinct, func, not_, select, update

from shopbell.db.schema.core import threads
from shopbell.db.schema.customers import message_deliveries
from shopbell.db.schema.customers import outbound_messages as outbound_messages_table
from shopbell.notifications import delivery_status, outbox

PURPOSE = "store-notice"

_D, _M, _T = outbound_messages_table.c, message_deliveries.c, threads.c
_MESSAGES = message_deliveries.join(threads, and_(_T.organization_id == _M.organization_id, _T.id == _M.thread_id))
_WAITS = and_(_T.status == "waiting", _T.last_reply_sequence < _M.sequence)


def put_off(tx: Connection, row: Row[Any], business_id: int, until_ms: int, *, now_ms: int) -> None:
    """Delay a locked email to the business, or merge it into one that waits.

    Args:
        tx: the transaction.
        row: the outbound message; no attempt was made.
        business_id: the recipient.
        until_ms: when the next email may be sent, in Unix ms; the same time until one is sent.
        now_ms: the time in Unix ms.
    """
    waits = (
        select(_D.id)
        .join(threads, and_(_T.organization_id == _D.organization_id, _T.id == _D.thread_id))
        .where(
            outbox.WAITS,
            *(_D.due_at_ms == until_ms, _D.attempts == 0, _D.purpose == PURPOSE, _D.address == row.address),
            *(_D.organization_id + 0 == row.organization_id, _D.id != row.id, _T.business_id == business_id),
        )
        .order_by(_D.id)
        .limit(1)
        # The transaction that has locked it may wait for the count of this business, which is locked here.
        .with_for_update(of=outbound_messages_table, skip_locked=True)
    )
    standing_id = tx.scalar(waits)
    if standing_id is None:
        outbox.set_columns(tx, row.organization_id, row.id, due_at_ms=until_ms)
        return
    tx.execute(update(message_deliveries).where(_with(row)).values(outbound_message_id=standing_id))
    ended = {"state": "skipped", "reason": "counted", "settled_at_ms": now_ms}
    outbox.set_columns(tx, row.organization_id, row.id, **ended)


def count_others(tx: Connection, row: Row[Any]) -> int:
    """The number of waiting conversations that an email stands for, besides its own."""
    return tx.scalar(select(func.count(distinct(_M.thread_id))).select_from(_MESSAGES).where(_others(row), _WAITS)) or 0


def leave_out_answered(tx: Connection, row: Row[Any], *, now_ms: int) -> list[delivery_status.Change]:
    """Let a locked email stand only for waiting conversations.

    Returns:
        What ``delivery_status.record_changes`` must record at the end of the transaction.
    """
    answered = select(_M.thread_id).distinct().select_from(_MESSAGES).where(_others(row), not_(_WAITS))
    thread_ids = tx.scalars(answered).all()
    if not thread_ids:
        return []
    return delivery_status.settle(tx, row.organization_id, row.id, "read", thread_ids=thread_ids, now_ms=now_ms)


def pass_on(tx: Connection, row: Row[Any], *, now_ms: int) -> list[delivery_status.Change] | None:
    """Let a locked email be about the next conversation that it stands for.

    Its own is not waiting any more.

    Args:
        tx: the transaction.
        row: the outbound message.
        now_ms: the time in Unix ms.

    Returns:
        What ``delivery_status.record_changes`` must record at the end; None if it stands for no waiting conversation.
    """
    first, last = func.min(_M.sequence).label("first"), func.max(_M.sequence).label("last")
    query = select(_M.thread_id, first, last).select_from(_MESSAGES).where(_others(row), _WAITS)
    following = tx.execute(query.group_by(_M.thread_id).order_by(_M.thread_id).limit(1)).first()
    if following is None:
        return None
    place = {"thread_id": following.thread_id, "first_sequence": following.first, "last_sequence": following.last}
    outbox.set_columns(tx, row.organization_id, row.id, **place)
    own = (row.organization_id, row.id, "read")
    return delivery_status.settle(tx, *own, thread_ids=[row.thread_id], now_ms=now_ms)


def _with(row: Row[Any]) -> ColumnElement[bool]:
    # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
    return and_(_M.organization_id + 0 == row.organization_id, _M.outbound_message_id == row.id)


def _others(row: Row[Any]) -> ColumnElement[bool]:
    return and_(_with(row), _M.thread_id != row.thread_id, _M.state == "queued")
