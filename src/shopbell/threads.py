"""Conversations as people read them: lists of threads, and the messages of one. ``messages.py`` writes them."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from shopbell import events
from shopbell.errors import CommandError, NotFound
from shopbell.storage.schema import messages, threads


@dataclass(frozen=True, slots=True)
class Thread:
    """The conversation of one customer with one business. Times are Unix ms."""

    organization_id: int
    id: int
    customer_id: int
    business_id: int
    channel: str
    status: str
    last_sequence: int
    created_at_ms: int
    updated_at_ms: int
    last_reply_sequence: int
    last_customer_message_at_ms: int | None
    merge_id: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a thread; ``sequence`` counts from 1 without gaps. Times are Unix ms."""

    id: int
    sequence: int
    body: str
    from_customer: bool
    internal: bool
    created_at_ms: int


def get(tx: Connection, thread_id: int) -> Thread:
    """The thread with an id, of whichever organization.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(threads).where(threads.c.id == thread_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no thread {thread_id}; `shopbell threads list` shows them")
    return Thread(**row)


def lock(tx: Connection, organization_id: int, thread_id: int) -> Thread:
    """The organization's thread with this id, and its row's lock until the transaction ends.

    Raises:
        NotFound: 404; there is none, or nobody has ever seen it.
    """
    c = threads.c
    query = select(threads).where(c.organization_id == organization_id, c.id == thread_id, c.last_sequence > 0)
    row = tx.execute(query.with_for_update()).mappings().first()
    if row is None:
        raise NotFound
    return Thread(**row)


def update_status(tx: Connection, organization_id: int, thread_id: int, status: str) -> None:
    """Set the status of a thread by hand; the customer's next message sets it to ``waiting``.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        thread_id: the thread.
        status: ``waiting``, ``replied`` or ``resolved``.

    Raises:
        NotFound: 404.
    """
    thread = lock(tx, organization_id, thread_id)
    if thread.status == status:
        return
    now_ms = time.time_ns() // 1_000_000
    _set(tx, thread, status=status, updated_at_ms=now_ms)
    details = {"status": status, "before": thread.status}
    events.record(tx, organization_id, "status", now_ms=now_ms, thread=in_thread(thread), details=details)


def in_thread(thread: Thread) -> events.InThread:
    """A thread as events name it."""
    return events.InThread(thread.id, thread.customer_id, thread.business_id, thread.last_sequence)


def _set(tx: Connection, thread: Thread, **columns: object) -> None:
    c = threads.c
    tx.execute(update(threads).where(c.organization_id == thread.organization_id, c.id == thread.id).values(**columns))


def find_all(
    tx: Connection,
    *,
    organization_id: int | None = None,
    business_id: int | None = None,
    customer_id: int | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Thread]:
    """Threads, the one that changed last first.

    Args:
        tx: the transaction.
        organization_id: only of this organization.
        business_id: only with this business.
        customer_id: only of this customer.
        status: only ``waiting``, ``replied`` or ``resolved``.
        limit: how many at most; None for all.
    """
    c = threads.c
    query = select(threads).order_by(c.updated_at_ms.desc(), c.id.desc()).limit(limit)
    wanted = (
        (c.organization_id, organization_id),
        (c.business_id, business_id),
        (c.customer_id, customer_id),
        (c.status, status),
    )
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return [Thread(**row) for row in tx.execute(query).mappings()]


def history(tx: Connection, thread: Thread, *, after_sequence: int = 0) -> list[Message]:
    """The messages of a thread in their order, from the one after ``after_sequence`` on."""
    c = messages.c
    query = (
        select(c.id, c.sequence, c.body, c.from_customer, c.internal, c.created_at_ms)
        .where(c.organization_id == thread.organization_id, c.thread_id == thread.id, c.sequence > after_sequence)
        .order_by(c.sequence)
    )
    return [Message(**row) for row in tx.execute(query).mappings()]
