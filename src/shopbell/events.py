"""Events of ordinary transactions: what has happened, and its deliveries to webhooks. Owns the feeds.

Messages of the hot path write theirs themselves, in batches (``promise_statements.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Table, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from shopbell.storage.delivery_schema import deliveries, delivery_queues, events, feeds, webhook_subscriptions

EventType = Literal[
    "message",
    "transfer",
    "status",
    "assignment",
    "customer-updated",
    "customer-merged",
    "customer-merge-undone",
    "customer-blocked",
    "customer-unblocked",
    "customer-erased",
    "business-created",
    "business-updated",
    "message-delivery",
    "survey-answered",
    "webhook-test",
]
"""Everything that can happen, as the event feed names it."""

_CHANGES_CUSTOMERS = frozenset[EventType](
    ("customer-merged", "customer-merge-undone", "customer-blocked", "customer-unblocked", "customer-erased")
)
"""After which a batch of messages that runs at the same time must look its customers up again. Whoever records one of
them begins with ``give_way``."""

_TOPICS: Mapping[EventType, str] = {
    "message": "messages",
    "transfer": "transfers",
    "message-delivery": "deliveries",
}


@dataclass(frozen=True, slots=True)
class InThread:
    """The thread that an event is of: its row is locked by the transaction, or nobody else can change it."""

    id: int
    customer_id: int
    business_id: int
    last_sequence: int


def record(
    tx: Connection,
    organization_id: int,
    event_type: EventType,
    *,
    now_ms: int,
    thread: InThread | None = None,
    customer_id: int | None = None,
    business_id: int | None = None,
    message_id: int | None = None,
    details: Mapping[str, object] | None = None,
) -> int:
    """Note what the transaction does, and promise it to whoever subscribed.

    Call it last: it takes the lock of the organization's feed, behind which all other writers of it wait, and which
    must be a transaction's last so that two of them never wait in a circle.

    Args:
        tx: the transaction.
        organization_id: whose event it is.
        event_type: what happened.
        now_ms: the time in Unix ms.
        thread: the thread that it happened in.
        customer_id: the customer that it happened to, outside of any thread.
        business_id: the business that it happened to, outside of any thread.
        message_id: the message that it is about; ``thread.last_sequence`` is its place then.
        details: ids and names of states, in JSON's types; never anything personal.

    Returns:
        The event's position in the organization's feed.
    """
    position = _take_position(tx, organization_id, 1 if event_type in _CHANGES_CUSTOMERS else 0)
    tx.execute(
        insert(events).values(
            organization_id=organization_id,
            position=position,
            type=event_type,
            business_id=thread.business_id if thread else business_id,
            customer_id=thread.customer_id if thread else customer_id,
            thread_id=thread.id if thread else None,
            thread_sequence=thread.last_sequence if thread else None,
            message_id=message_id,
            details=json.dumps(details) if details else None,
            created_at_ms=now_ms,
        )
    )
    topic = _TOPICS.get(event_type)
    if topic is not None and thread is not None:
        _promise(tx, organization_id, topic, thread.id, position, now_ms)
    return position


def _take_position(tx: Connection, organization_id: int, changes: int) -> int:
    new = upsert(tx, feeds).values(organization_id=organization_id, last_position=1, customer_changes=changes)
    moved = new.on_conflict_do_update(
        index_elements=[feeds.c.organization_id],
        set_={
            "last_position": feeds.c.last_position + 1,
            "customer_changes": feeds.c.customer_changes + changes,
        },
    )
    position: int = tx.execute(moved.returning(feeds.c.last_position)).scalar_one()
    return position


def _promise(tx: Connection, organization_id: int, topic: str, thread_id: int, position: int, now_ms: int) -> None:
    """Two statements, however many webhooks: all writers of the organization wait behind the feed meanwhile."""
    c = webhook_subscriptions.c
    subscribed = select(
        *(c.organization_id, c.webhook_id, literal(thread_id), literal(position), literal("waiting"), literal(now_ms))
    ).where(c.organization_id == organization_id, c.topic == topic)
    names = ["organization_id", "webhook_id", "thread_id", "position", "state", "created_at_ms"]
    promised = insert(deliveries).from_select(names, subscribed).returning(deliveries.c.webhook_id)
    # Those that were promised, and not those subscribed by now; sorted, so that two never wait in a circle.
    key = {"organization_id": organization_id, "thread_id": thread_id, "background": 0, "position": position}
    queues = [key | {"webhook_id": webhook_id, "due_at_ms": now_ms} for webhook_id in sorted(tx.scalars(promised))]
    if queues:
        queue = upsert(tx, delivery_queues).values(queues)
        # As in promise_statements.py: changes nothing, and waits for whoever takes the row away.
        tx.execute(
            queue.on_conflict_do_update(
                index_elements=list(delivery_queues.primary_key.columns),
                set_={"due_at_ms": queue.excluded.due_at_ms},
                where=delivery_queues.c.organization_id < 0,
            )
        )


def upsert(tx: Connection, table: Table) -> Any:
    """An insert that may say what becomes of rows that are there already.

    Both engines spell it alike, but SQLAlchemy has one class for each.
    """
    return sqlite_insert(table) if tx.dialect.name == "sqlite" else postgresql_insert(table)
