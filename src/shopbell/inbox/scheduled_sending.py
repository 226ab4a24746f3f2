"""Send scheduled messages that are due.

One transaction turns a message into a reply and marks it as sent. So each message is sent once, even if a process is
killed or several processes send. A process that finds a row locked takes the next one.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, true, update

from shopbell.accounts import roles
from shopbell.conversations import threads
from shopbell.conversations.replies import CustomerErased, Outcome, Replied, StaleReply, WindowClosed, create_replies
from shopbell.conversations.threads import Thread
from shopbell.db import installation
from shopbell.db.installation import PauseReason
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.program import run_in
from shopbell.db.schema.core import messages
from shopbell.db.schema.inbox_actions import scheduled_messages
from shopbell.errors import Invalid
from shopbell.events.actors import SYSTEM
from shopbell.inbox.scheduled_messages import DELAY_MAX_MS, Changed, Reason, ScheduledMessage
from shopbell.organizations import api_tokens, employees

PERMISSION = "threads:write"
"""The permission that an employee needs in the business of the thread."""

BATCH_MESSAGES = 50
"""The maximum number of messages that one transaction sends."""

_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (StaleReply, "answered"),
    # The last message that the author had read is no longer in the thread, so it is unknown what came after it.
    (Invalid, "answered"),
    (WindowClosed, "window-closed"),
    (CustomerErased, "customer-erased"),
)

_C = scheduled_messages.c
_IS_WAITING = _C.state == "scheduled"


def next_due_ms(tx: Connection) -> int | None:
    """The time in Unix ms at which the next message is due.

    Returns:
        None if none is scheduled.
    """
    next_ms: int | None = tx.scalar(select(func.min(_C.send_at_ms)).where(_IS_WAITING, _is_ours(tx)))
    return next_ms


def send_due(tx: Connection, *, now_ms: int, limit: int = BATCH_MESSAGES) -> list[Changed]:
    """Send messages that are due, or refuse them.

    Args:
        now_ms: the time in Unix ms.
        limit: the maximum number of messages.

    Returns:
        The messages that were sent or refused; empty if other processes have locked all due messages.
    """
    lock_customers_shared(tx)
    unlocked = _due(tx, now_ms, limit).with_for_update(skip_locked=True)
    due = [ScheduledMessage(**row) for row in tx.execute(unlocked).mappings()]
    places = sorted({message.place for message in due})
    locked = {place: threads.lock(tx, *place) for place in places}  # before a reply locks the first feed
    permitted = [message for message in due if _may_send(tx, message, locked[message.place])]
    outcomes = run_in(tx, create_replies([message.reply for message in permitted])) if permitted else []
    outcome_of = {message.id: outcome for message, outcome in zip(permitted, outcomes, strict=True)}
    settled = [_settled(message, outcome_of.get(message.id), now_ms) for message in due]
    for message in settled:
        _store(tx, message)
        if message.state != "sent":
            continue
        if _customer_has_written(tx, message, locked[message.place]):
            threads.update_status(tx, *message.place, "waiting", actor=SYSTEM)
        elif message.resolves:
            threads.update_status(tx, *message.place, "resolved", actor=message.actor)
    return [Changed(message, locked[message.place].business_id) for message in settled]


def refuse_first(tx: Connection, *, now_ms: int) -> list[Changed]:
    """Refuse the first due message, which failed because of a bug, to unblock others."""
    row = tx.execute(_due(tx, now_ms, 1).with_for_update()).mappings().first()
    if row is None:
        return []
    message = replace(ScheduledMessage(**row), state="refused", reason="error", settled_at_ms=now_ms)
    _store(tx, message)
    return [Changed(message, threads.lock(tx, message.organization_id, message.thread_id).business_id)]


def refuse_old(tx: Connection, *, now_ms: int) -> int:
    """Refuse messages that another installation may have sent.

    Call this before deliveries resume. After a restore, these are the messages that are already due. After a move,
    these are all messages, because the other installation has them, too.

    Returns:
        How many.
    """
    reason = installation.pause_reason(tx)
    if reason is None:
        return 0
    these = [_IS_WAITING, ~_is_ours(tx)]
    if reason is PauseReason.RESTORED:
        these.append(_C.send_at_ms <= now_ms)
    values = {"state": "refused", "reason": "elsewhere", "settled_at_ms": now_ms}
    return tx.execute(update(scheduled_messages).where(*these).values(values)).rowcount


def move_up(tx: Connection, by_ms: int, *, now_ms: int) -> None:
    """Make delayed messages due earlier after the clock was set back.

    A time that a person chose stays.
    """
    del now_ms
    is_delayed = _C.send_at_ms - _C.created_at_ms <= DELAY_MAX_MS
    earlier = {"send_at_ms": _C.send_at_ms - by_ms, "created_at_ms": _C.created_at_ms - by_ms}
    tx.execute(update(scheduled_messages).where(_IS_WAITING, is_delayed).values(earlier))


def _is_ours(tx: Connection) -> ColumnElement[bool]:
    """The condition that no other installation has the message.

    After a restore or a move, these are the messages that were scheduled later.
    """
    paused_since_ms = installation.paused_since_ms(tx)
    return true() if paused_since_ms is None else _C.created_at_ms >= paused_since_ms


def _due(tx: Connection, now_ms: int, limit: int) -> Any:
    query = select(scheduled_messages).where(_IS_WAITING, _is_ours(tx), _C.send_at_ms <= now_ms)
    return query.order_by(_C.send_at_ms, _C.organization_id, _C.id).limit(limit)


def _may_send(tx: Connection, message: ScheduledMessage, thread: Thread) -> bool:
    organization_id, employee_id = message.organization_id, message.employee_id
    if employee_id is not None and not employees.is_active(tx, organization_id, employee_id, lock=True):
        return False
    if employee_id is None or message.caller_id != employee_id:
        return not api_tokens.is_revoked(tx, organization_id, message.caller_id)
    return PERMISSION in roles.find(tx, organization_id, employee_id).grants.within(thread.business_id)


def _customer_has_written(tx: Connection, message: ScheduledMessage, thread: Thread) -> bool:
    """Whether the customer has written since the message was scheduled, and waits.

    The message does not answer what they wrote, just as it would not if it had been sent at once.

    Args:
        thread: as it was before the message was sent.
    """
    written_at_ms = thread.last_customer_message_at_ms
    if thread.status != "waiting" or written_at_ms is None or written_at_ms <= message.created_at_ms:
        return False
    m = messages.c
    seen = (m.organization_id == message.organization_id, m.id == message.last_seen_message_id)
    seen_at_ms = tx.scalar(select(m.created_at_ms).where(*seen))  # newer than it, if the message was changed
    return seen_at_ms is None or seen_at_ms < written_at_ms


def _settled(message: ScheduledMessage, outcome: Outcome | None, now_ms: int) -> ScheduledMessage:
    """A message after it was sent or refused.

    Without an outcome, its author may no longer send it.
    """
    if isinstance(outcome, Replied):
        return replace(message, state="sent", message_id=outcome.message_id, settled_at_ms=now_ms)
    reason: Reason = "not-permitted"
    if outcome is not None:
        reason = next((reason for kind, reason in _REASONS if isinstance(outcome, kind)), "error")
    return replace(message, state="refused", reason=reason, settled_at_ms=now_ms)


def _store(tx: Connection, message: ScheduledMessage) -> None:
    columns = {name: getattr(message, name) for name in ("state", "reason", "message_id", "settled_at_ms")}
    is_this = (_C.organization_id == message.organization_id, _C.id == message.id)
    tx.execute(update(scheduled_messages).where(*is_this).values(columns))
