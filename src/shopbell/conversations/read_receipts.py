"""Read receipts of both sides of a conversation, which never go back.

This module owns their table.
"""

from typing import Literal

from sqlalchemy import Connection, select

from shopbell.db.schema.core import threads
from shopbell.db.schema.customers import thread_reads
from shopbell.events.record import upsert

Side = Literal["customer", "store"]


def mark(tx: Connection, organization_id: int, thread_id: int, side: Side, sequence: int, *, now_ms: int) -> int | None:
    """Store the place up to which a side has read a thread.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        side: who has read it.
        sequence: the place; limited to that of the last message.
        now_ms: the time in Unix ms.

    Returns:
        The stored place; None if nothing changed, or there is no such thread.
    """
    t = threads.c
    last = tx.scalar(select(t.last_sequence).where(t.organization_id == organization_id, t.id == thread_id))
    place = min(sequence, last or 0)
    if place <= 0:
        return None
    c = thread_reads.c
    mine, at = (c.customer_sequence, c.customer_at_ms) if side == "customer" else (c.store_sequence, c.store_at_ms)
    new = upsert(tx, thread_reads).values(
        {c.organization_id: organization_id, c.thread_id: thread_id, mine: place, at: now_ms}
    )
    # Two tabs may report their places in any order.
    moved = new.on_conflict_do_update(
        index_elements=[c.organization_id, c.thread_id], set_={mine.name: place, at.name: now_ms}, where=mine < place
    )
    # Not every driver counts the rows of such an insert.
    marked: int | None = tx.scalar(moved.returning(mine))
    return marked


def mark_imported(tx: Connection, organization_id: int, thread_id: int, sequence: int, *, now_ms: int) -> None:
    """Store that both sides have read a thread up to its last message, which is being imported."""
    row = {"customer_sequence": sequence, "customer_at_ms": now_ms, "store_sequence": sequence, "store_at_ms": now_ms}
    new = upsert(tx, thread_reads).values(organization_id=organization_id, thread_id=thread_id, **row)
    c = thread_reads.c
    tx.execute(new.on_conflict_do_update(index_elements=[c.organization_id, c.thread_id], set_=row))
