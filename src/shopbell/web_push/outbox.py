"""Waiting notifications: which are due, what they say, and their outcome."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select, update

from shopbell.accounts import roles
from shopbell.db import installation
from shopbell.db.schema.core import assignments, messages, threads
from shopbell.db.schema.inbox import employee_reads, inbox_threads
from shopbell.db.schema.web_push import push_subscriptions, pushes
from shopbell.web_push import subscriptions

PERMISSION = "threads:read"
"""The permission that the employee needs in the business of the thread."""

LEASE_MS = 30_000
"""Time after which another worker takes over the notification of a worker that died."""

RETRY_AFTER_MS = (10_000, 60_000, 300_000)
"""The delays after failed attempts; then the notification is dropped."""

TEXT_MAX_CHARACTERS = 120

Outcome = Literal["sent", "gone", "failed", "refused"]
"""``gone``: the browser has unsubscribed. ``failed``: try again. ``refused``: the push service does not accept it."""

_P, _S = pushes.c, push_subscriptions.c


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notification that a worker sends.

    Args:
        position: the event; a newer one may replace it while it is sent.
        attempt: from 1.
        sealed_address: the URL and the keys of the browser, encrypted.
        content: the JSON for the browser.
    """

    organization_id: int
    subscription_id: int
    thread_id: int
    position: int
    attempt: int
    sealed_address: str
    content: dict[str, Any]


def next_due_ms(tx: Connection) -> int | None:
    """The time in Unix ms at which the next notification is due.

    Returns:
        None if none waits, or while deliveries are paused after a restore or a move.
    """
    if installation.pause_reason(tx):
        return None
    next_ms: int | None = tx.scalar(select(func.min(_P.due_at_ms)))
    return next_ms


def claim(tx: Connection, *, shows_text: bool, limit: int, now_ms: int) -> list[Claimed]:
    """Take notifications that are due, and drop those that are no longer wanted.

    It drops notifications of messages that the employee has read and of conversations that are now assigned to another
    employee. It also drops notifications to employees who may not read the conversation, and to browsers that were
    signed out.

    Args:
        shows_text: whether they contain the customer's name and the start of the message.
        limit: how many at most.
    """
    due = select(pushes).where(_P.due_at_ms <= now_ms).order_by(_P.due_at_ms).limit(limit)
    claimed = []
    for row in tx.execute(due.with_for_update(skip_locked=True)).all():
        is_subscription = (_S.organization_id == row.organization_id, _S.id == row.subscription_id)
        subscription = tx.execute(select(push_subscriptions).where(*is_subscription)).one()
        if not subscriptions.is_valid(tx, subscription, now_ms=now_ms):
            subscriptions.forget(tx, row.organization_id, [row.subscription_id])
            continue
        content = _content(tx, row, subscription.employee_id, shows_text=shows_text)
        if content is None:
            tx.execute(delete(pushes).where(*_is_this(row)))
            continue
        columns = {"due_at_ms": now_ms + LEASE_MS, "attempts": row.attempts + 1}
        tx.execute(update(pushes).where(*_is_this(row)).values(columns))
        place = row.organization_id, row.subscription_id, row.thread_id, row.position
        claimed.append(Claimed(*place, row.attempts + 1, subscription.sealed_address, content))
    return claimed


def settle(tx: Connection, claimed: Claimed, outcome: Outcome, *, retry_after_ms: int, now_ms: int) -> None:
    """Store the outcome of an attempt.

    Args:
        retry_after_ms: the shortest delay that the push service allows; 0 for none.
    """
    if outcome == "gone":
        subscriptions.forget(tx, claimed.organization_id, [claimed.subscription_id])
        return
    # Unless a newer notification has replaced it.
    is_this = (*_is_this(claimed), _P.position == claimed.position)
    if outcome == "failed" and claimed.attempt <= len(RETRY_AFTER_MS):
        delay_ms = max(RETRY_AFTER_MS[claimed.attempt - 1], retry_after_ms)
        tx.execute(update(pushes).where(*is_this).values(due_at_ms=now_ms + delay_ms))
    else:
        tx.execute(delete(pushes).where(*is_this))


def move_up(tx: Connection, by_ms: int, *, now_ms: int) -> None:
    """Make notifications due earlier, after the clock was set back."""
    del now_ms
    tx.execute(update(pushes).values(due_at_ms=_P.due_at_ms - by_ms))


def _is_this(row: Any) -> tuple[Any, ...]:
    return (
        _P.organization_id == row.organization_id,
        _P.subscription_id == row.subscription_id,
        _P.thread_id == row.thread_id,
    )


def _content(tx: Connection, row: Any, employee_id: int, *, shows_text: bool) -> dict[str, Any] | None:
    """The content of a notification; None if it is no longer wanted."""
    t, r = threads.c, employee_reads.c
    of_thread = (t.organization_id == row.organization_id, t.id == row.thread_id)
    thread = tx.execute(select(t.business_id, t.last_reply_author_id, t.last_reply_sequence).where(*of_thread)).one()
    if PERMISSION not in roles.find(tx, row.organization_id, employee_id).grants.within(thread.business_id):
        return None
    a = assignments.c
    assigned = (a.organization_id == row.organization_id, a.thread_id == row.thread_id)
    if row.kind != "mentioned" and tx.scalar(select(a.employee_id).where(*assigned)) != employee_id:
        return None
    if row.sequence is not None:
        mine = (r.organization_id == row.organization_id, r.employee_id == employee_id, r.thread_id == row.thread_id)
        has_read = tx.scalar(select(r.sequence).where(*mine)) or 0
        if thread.last_reply_author_id == employee_id:  # a reply means that its author has read the message
            has_read = max(has_read, thread.last_reply_sequence)
        if has_read >= row.sequence:
            return None
    content: dict[str, Any] = {
        "type": row.kind,
        "customerThreadId": str(row.thread_id),
        "businessId": str(thread.business_id),
    }
    if shows_text:
        i, m = inbox_threads.c, messages.c
        entry = (i.organization_id == row.organization_id, i.thread_id == row.thread_id)
        content["customerName"] = tx.scalar(select(i.customer_name).where(*entry))
        said = tx.scalar(select(m.body).where(m.organization_id == row.organization_id, m.id == row.message_id))
        content["text"] = None if said is None else " ".join(said.split())[:TEXT_MAX_CHARACTERS]
    return content
