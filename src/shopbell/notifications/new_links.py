"""New links to conversations, for customers whose link has expired or was used."""

from sqlalchemy import Connection, insert, select

from shopbell.customers.magic_links import CustomerLinks
from shopbell.db.ids import take_id
from shopbell.db.schema.customers import outbound_messages
from shopbell.runtime.clock import lately

_NEXT_AFTER_MS = 10 * 60 * 1_000
"""The time between two new links to a conversation."""


def request(tx: Connection, links: CustomerLinks, token: str, *, now_ms: int) -> int | None:
    """Schedule a new link to where an old one was sent, at most one in ten minutes.

    Args:
        tx: the transaction.
        links: finds the old link.
        token: that of the old link.
        now_ms: the time in Unix ms.

    Returns:
        The organization whose outbox has it; None if none was scheduled.
    """
    link = links.find(tx, token)
    if link is None:
        return None
    d = outbound_messages.c
    # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
    sent = select(d.id).where(
        d.organization_id + 0 == link.organization_id,
        d.thread_id == link.thread_id,
        d.purpose == "link",
        lately(d.created_at_ms, _NEXT_AFTER_MS, now_ms),
    )
    if tx.scalar(sent.limit(1)) is not None:
        return None
    tx.execute(
        insert(outbound_messages).values(
            organization_id=link.organization_id,
            id=take_id(tx),
            thread_id=link.thread_id,
            channel=link.channel,
            audience="customer",
            purpose="link",
            address=link.address,
            state="waiting",
            due_at_ms=now_ms,
            created_at_ms=now_ms,
        )
    )
    return link.organization_id
