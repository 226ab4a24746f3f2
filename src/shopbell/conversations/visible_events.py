"""The events that an employee of single businesses sees.

They see events of conversations that are with one of their businesses now, transfers of conversations out of one of
them, changes to these businesses, and changes to customers that they see.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from shopbell.customers import visibility
from shopbell.db.businesses import Businesses
from shopbell.db.schema.core import threads
from shopbell.events import feed
from shopbell.events.feed import Event, Page


def read(
    tx: Connection,
    organization_id: int,
    after: int | None,
    *,
    limit: int,
    types: Collection[str] | None = None,
    businesses: Businesses = None,
) -> Page:
    """Read a page of the feed, as ``feed.read`` does.

    Args:
        businesses: leave out the events that an employee of these businesses does not see. The page then has fewer
            events, perhaps none even if more follow.
    """
    page = feed.read(tx, organization_id, after, limit=limit, types=types)
    if businesses is None:
        return page
    return replace(page, events=_visible(tx, organization_id, page.events, businesses))


def is_visible_now(event: Event, businesses: frozenset[int]) -> bool | None:
    """Whether an employee of these businesses sees an event that has just happened.

    None if only the database can tell.
    """
    if event.business_id is None:
        return None if event.customer_id is not None else False
    return event.business_id in businesses or _left(event) in businesses


def _visible(tx: Connection, organization_id: int, events: Sequence[Event], businesses: frozenset[int]) -> list[Event]:
    t = threads.c
    thread_ids = {event.thread_id for event in events if event.thread_id is not None}
    query = select(t.id).where(
        t.organization_id == organization_id, t.id.in_(sorted(thread_ids)), t.business_id.in_(sorted(businesses))
    )
    seen_threads = set(tx.scalars(query)) if thread_ids else set()
    customer_ids = {event.customer_id for event in events if event.thread_id is None and event.customer_id is not None}
    seen_customers = visibility.within(tx, organization_id, customer_ids, businesses) if customer_ids else set()
    return [
        event
        for event in events
        if (
            (event.thread_id in seen_threads or _left(event) in businesses)
            if event.thread_id is not None
            else event.business_id in businesses or event.customer_id in seen_customers
        )
    ]


def _left(event: Event) -> int | None:
    """The business that a conversation was transferred from."""
    return int(event.details["fromBusinessId"]) if event.type == "transfer" else None
