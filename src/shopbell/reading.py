"""Up to where a conversation's two sides have read it. Owns that table: a mark only ever moves on."""

from typing import Literal

from sqlalchemy import Connection, select

from shopbell.events import upsert
from shopbell.storage.customer_schema import thread_reads
from shopbell.storage.schema import threads

Side = Literal["customer", "store"]


def mark(tx: Connection, organization_id: int, thread_id: int, side: Side, sequence: int, *, now_ms: int) -> int | None:
    """Note up to which message a side has read a thread.

    Args:
        tx: the transaction.
        organization_id: whose thread.
        thread_id: the thread.
        side: who has read.
        sequence: the message's place; what is beyond the last message counts as that one.
        now_ms: the time in Unix ms.

    Returns:
        The place that is marked, where this moved the mark; None where nothing changed or there is no such thread.
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
    # Two tabs may tell of it in either order.
    moved = new.on_conflict_do_update(
        index_elements=[c.organization_id, c.thread_id], set_={mine.name: place, at.name: now_ms}, where=mine < place
    )
    # Of such an insert not every driver counts the rows.
    marked: int | None = tx.scalar(moved.returning(mine))
    return marked
