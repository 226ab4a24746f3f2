"""Read everything that an employee needs to open a conversation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from shopbell.conversations import threads
from shopbell.conversations.threads import Message, Seen
from shopbell.customers import customers, visibility
from shopbell.customers.customers import Profile
from shopbell.db.schema.customers import thread_reads
from shopbell.db.schema.inbox import employee_reads
from shopbell.db.schema.webhooks import events
from shopbell.errors import NotFound
from shopbell.events import feed
from shopbell.inbox import conversation_list
from shopbell.inbox.conversation_list import Entry, Reader
from shopbell.organizations import employees

MESSAGES = 50
ACTIVITIES_MAX = 200
OTHERS_MAX = 20
DUPLICATES_MAX = 10


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that happened to a conversation, other than a message.

    Args:
        at_ms: when, in Unix ms.
        type: the type of the event.
        after_sequence: the last message before it.
        actor_id: the employee who did it, if one did.
        actor_name: their name.
        details: those of the event.
    """

    at_ms: int
    type: str
    after_sequence: int
    actor_id: int | None
    actor_name: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """A conversation.

    Args:
        position: the position of the feed at which it was read, or an earlier one.
        entry: its entry in the list.
        seen: the thread.
        messages: the last ones, in order.
        activities: what happened to it since the first of these messages, in order.
        read_sequence: the last message that the employee has read.
        customer_read_sequence: the last message that the customer has read.
        others: other conversations of the customer.
    """

    position: int
    entry: Entry
    seen: Seen
    messages: list[Message]
    activities: list[Activity]
    read_sequence: int
    customer_read_sequence: int
    others: list[Entry]


@dataclass(frozen=True, slots=True)
class Earlier:
    """Messages before those that were read already.

    Args:
        messages: in order.
        activities: what happened to the conversation in their time, in order.
    """

    messages: list[Message]
    activities: list[Activity]


def open_conversation(tx: Connection, organization_id: int, reader: Reader, thread_id: int) -> Opened:
    """Read a conversation with its last messages.

    Raises:
        NotFound: 404; there is none, or the reader may not see it.
    """
    # The position is read first. What follows may already reflect later events, which the client then reads again.
    position = feed.last_position(tx, organization_id)
    entry = conversation_list.find_entry(tx, organization_id, reader, thread_id, position=position)
    if entry is None:
        raise NotFound("customerThreadId")
    seen = threads.find(tx, organization_id, thread_id)
    last_sequence = seen.thread.last_sequence
    messages = threads.history_before(tx, seen.thread, last_sequence + 1, limit=MESSAGES)
    return Opened(
        position=position,
        entry=entry,
        seen=seen,
        messages=messages,
        activities=_activities(tx, organization_id, thread_id, _begin(messages), last_sequence),
        read_sequence=_read_sequence(tx, organization_id, reader, thread_id),
        customer_read_sequence=_customer_read_sequence(tx, organization_id, thread_id),
        others=conversation_list.find_others(tx, organization_id, reader, entry, limit=OTHERS_MAX),
    )


def find_earlier(tx: Connection, organization_id: int, thread_id: int, before_sequence: int) -> Earlier:
    """Read the last messages before a place, with what happened in their time.

    Raises:
        NotFound: 404; there is no such conversation.
    """
    thread = threads.find(tx, organization_id, thread_id).thread
    messages = threads.history_before(tx, thread, before_sequence, limit=MESSAGES)
    activities = _activities(tx, organization_id, thread_id, _begin(messages), before_sequence - 1)
    return Earlier(messages, activities)


def find_duplicates(tx: Connection, organization_id: int, reader: Reader, customer_id: int) -> list[Profile]:
    """Possible duplicates of a customer, if the reader may see them."""
    (customer,) = customers.rows(tx, organization_id, [customer_id])
    ids = customers.possible_duplicates_of(tx, customer)[:DUPLICATES_MAX]
    if reader.businesses is not None:
        ids = sorted(visibility.within(tx, organization_id, ids, reader.businesses))
    profiles = {each.customer.id: each for each in (customers.profile(tx, organization_id, id_) for id_ in ids)}
    return [each for id_, each in profiles.items() if id_ != customer_id and each.customer.erased_at_ms is None]


def _begin(messages: list[Message]) -> int:
    """From which message on activities belong to these messages; those before the first message, too."""
    return messages[0].sequence if messages and messages[0].sequence > 1 else 0


def _activities(
    tx: Connection, organization_id: int, thread_id: int, from_sequence: int, to_sequence: int
) -> list[Activity]:
    e = events.c
    query = (
        select(e.created_at_ms, e.type, e.thread_sequence, e.actor_type, e.actor_id, e.details)
        .where(
            # The ``+ 0`` keeps SQLite from using the primary key: it would read all events of the organization.
            e.organization_id + 0 == organization_id,
            e.thread_id == thread_id,
            e.message_id.is_(None),
            e.thread_sequence >= from_sequence,
            e.thread_sequence <= to_sequence,
        )
        .order_by(e.position.desc())
        .limit(ACTIVITIES_MAX)
    )
    rows = tx.execute(query).all()[::-1]
    names = employees.names_of(tx, organization_id, {row.actor_id for row in rows if row.actor_type == "employee"})
    return [
        Activity(
            at_ms=row.created_at_ms,
            type=row.type,
            after_sequence=row.thread_sequence,
            actor_id=row.actor_id if row.actor_type == "employee" else None,
            actor_name=names.get(row.actor_id),
            details=json.loads(row.details or "{}"),
        )
        for row in rows
    ]


def _read_sequence(tx: Connection, organization_id: int, reader: Reader, thread_id: int) -> int:
    c = employee_reads.c
    mine = (c.organization_id == organization_id, c.employee_id == reader.employee_id, c.thread_id == thread_id)
    return 0 if reader.employee_id is None else tx.scalar(select(c.sequence).where(*mine)) or 0


def _customer_read_sequence(tx: Connection, organization_id: int, thread_id: int) -> int:
    c = thread_reads.c
    of_thread = (c.organization_id == organization_id, c.thread_id == thread_id)
    return tx.scalar(select(c.customer_sequence).where(*of_thread)) or 0
