"""Conversations as people read them: lists of threads, and the messages of one. ``messages.py`` writes them."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shopbell.errors import CommandError
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
