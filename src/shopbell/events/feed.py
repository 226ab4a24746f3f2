"""Reads the event feed: the events of an organization in the order of commits. ``events/record.py`` writes it."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, select

from shopbell.db.schema.core import messages
from shopbell.db.schema.webhooks import events, feeds
from shopbell.events.actors import Actor
from shopbell.events.record import EventType

SCAN_POSITIONS = 10_000
"""Most positions that one page searches for events of the given types, so that a rare type does not take too long."""


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """The message of an event, as it is now."""

    text: str
    from_customer: bool
    internal: bool
    employee_id: int | None
    attachment_id: int | None
    content_sid: str | None
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """An event. Times are Unix ms.

    ``message`` is None for all types but ``message``, and if the message was deleted.
    """

    position: int
    type: EventType
    actor: Actor
    created_at_ms: int
    business_id: int | None
    customer_id: int | None
    thread_id: int | None
    thread_sequence: int | None
    message_id: int | None
    details: Mapping[str, Any]
    message: Message | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the feed.

    Args:
        events: in the order of their positions.
        last_position: the last position that was searched; the next page begins after it.
        has_more: whether there are events after ``last_position`` now.
        truncated: whether events up to ``last_position`` are missing because they were deleted.
    """

    events: list[Event]
    last_position: int
    has_more: bool
    truncated: bool


def last_position(tx: Connection, organization_id: int) -> int:
    """The position of an organization's newest event; 0 if it has none."""
    query = select(feeds.c.last_position).where(feeds.c.organization_id == organization_id)
    return tx.scalar(query) or 0


def read(
    tx: Connection, organization_id: int, after: int | None, *, limit: int, types: Collection[str] | None = None
) -> Page:
    """Read a page of the feed.

    Args:
        after: the position before the page; None to begin with the oldest event.
        limit: how many events at most.
        types: only events of these types.
    """
    # Read first. Positions are in the order of commits, so all events up to this one are committed. An event that is
    # committed during this function has a higher position and belongs to the next page.
    newest = last_position(tx, organization_id)
    if after is not None and after > newest:  # the position is from before the restore of an older backup
        return Page([], newest, has_more=False, truncated=True)
    oldest = tx.scalar(select(func.min(events.c.position)).where(events.c.organization_id == organization_id))
    begin = newest if oldest is None else oldest - 1
    is_late = after is not None and after < begin
    begin = max(after or 0, begin)
    end = newest if types is None else min(newest, begin + SCAN_POSITIONS)
    found = [_event(row) for row in tx.execute(_query(organization_id, begin, end, limit, types))]
    if len(found) == limit:
        end = found[-1].position
    # Positions have no gaps. Missing events were deleted, perhaps between others that a waiting delivery needs, and
    # perhaps during this function.
    there = len(found) if types is None else _count(tx, organization_id, begin, end)
    return Page(found, end, has_more=end < newest, truncated=is_late or there < end - begin)


def delete_events(tx: Connection, organization_id: int, positions: Sequence[int]) -> None:
    """Delete events of an organization."""
    c = events.c
    tx.execute(delete(events).where(c.organization_id == organization_id, c.position.in_(positions)))


def _count(tx: Connection, organization_id: int, begin: int, end: int) -> int:
    c = events.c
    of_these = select(func.count()).where(c.organization_id == organization_id, c.position > begin, c.position <= end)
    return tx.execute(of_these).scalar_one()


def _query(organization_id: int, begin: int, end: int, limit: int, types: Collection[str] | None) -> Any:
    c, m = events.c, messages.c
    query = (
        select(events, m.id.label("found_id"), m.body, m.from_customer, m.internal, m.employee_id, m.attachment_id)
        .add_columns(m.content_sid, m.external_id)
        .outerjoin(messages, and_(m.organization_id == c.organization_id, m.id == c.message_id))
        .where(c.organization_id == organization_id, c.position > begin, c.position <= end)
        .order_by(c.position)
        .limit(limit)
    )
    return query if types is None else query.where(c.type.in_(types))


def _event(row: Row[Any]) -> Event:
    message = None
    if row.found_id is not None and row.type == "message":
        message = Message(
            text=row.body,
            from_customer=row.from_customer,
            internal=row.internal,
            employee_id=row.employee_id,
            attachment_id=row.attachment_id,
            content_sid=row.content_sid,
            external_id=row.external_id,
        )
    return Event(
        position=row.position,
        type=row.type,
        actor=Actor.of_columns(row.actor_type, row.actor_id, row.customer_id),
        created_at_ms=row.created_at_ms,
        business_id=row.business_id,
        customer_id=row.customer_id,
        thread_id=row.thread_id,
        thread_sequence=row.thread_sequence,
        message_id=row.message_id,
        details=json.loads(row.details) if row.details else {},
        message=message,
    )
