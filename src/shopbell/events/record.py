"""Records events and their deliveries to webhooks. Owns the tables of events and feeds.

The hot path records the events of its messages in batches (``conversations/side_effects.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from sqlalchemy import Connection, Table, insert, literal, select

from shopbell.db.schema.webhooks import deliveries, delivery_queues, events, feeds, webhook_subscriptions
from shopbell.events.actors import Actor

EventType = Literal[
    "message",
    "transfer",
    "status",
    "assignment",
    "mention",
    "snooze",
    "tags",
    "import",
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
"""The types of events."""

DeliveredType = Literal["message", "transfer", "message-delivery", "webhook-test"]
"""The types in deliveries: those with a topic in ``KINDS``, and the test of a webhook."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What follows from an event of a type.

    Args:
        topic: webhooks that subscribed to it get the event.
        changes_customers: a concurrent batch of messages must look up its customers again. A transaction that records
            such an event begins with ``lock_customers_shared``.
        changes_inbox: rows of the list of conversations change.
    """

    topic: str | None = None
    changes_customers: bool = False
    changes_inbox: bool = True


_OF_CUSTOMERS = Kind(changes_customers=True)
_OUTSIDE_INBOX = Kind(changes_inbox=False)

KINDS: Mapping[EventType, Kind] = {
    "message": Kind(topic="messages"),
    "transfer": Kind(topic="transfers"),
    "status": Kind(),
    "assignment": Kind(),
    "mention": Kind(),
    "snooze": Kind(),
    "tags": Kind(),
    "import": Kind(),
    "customer-updated": Kind(),
    "customer-merged": _OF_CUSTOMERS,
    "customer-merge-undone": _OF_CUSTOMERS,
    "customer-blocked": _OF_CUSTOMERS,
    "customer-unblocked": _OF_CUSTOMERS,
    "customer-erased": _OF_CUSTOMERS,
    "business-created": _OUTSIDE_INBOX,
    "business-updated": _OUTSIDE_INBOX,
    "message-delivery": Kind(topic="deliveries", changes_inbox=False),
    "survey-answered": _OUTSIDE_INBOX,
    "webhook-test": _OUTSIDE_INBOX,
}
"""Every type of events."""


@dataclass(frozen=True, slots=True)
class InThread:
    """The thread of an event. The transaction has locked its row, or created it."""

    id: int
    customer_id: int
    business_id: int
    last_sequence: int


def record(
    tx: Connection,
    organization_id: int,
    event_type: EventType,
    *,
    actor: Actor,
    now_ms: int,
    thread: InThread | None = None,
    customer_id: int | None = None,
    business_id: int | None = None,
    message_id: int | None = None,
    details: Mapping[str, object] | None = None,
) -> int:
    """Record an event and its deliveries to the webhooks that subscribed to it.

    Call this last in a transaction: it locks the organization's feed, for which all other writers wait. As the last
    lock it causes no deadlocks.

    Args:
        event_type: what happened.
        actor: who did it.
        thread: the thread of the event, if any.
        customer_id: the customer, for events outside of threads.
        business_id: the business, for events outside of threads.
        message_id: the message, if any; then ``thread.last_sequence`` is its sequence.
        details: ids and names of states, as JSON; never personal data.

    Returns:
        The event's position in the organization's feed.
    """
    kind = KINDS[event_type]
    actor_type, actor_id = actor.columns
    position = _take_position(tx, organization_id, int(kind.changes_customers))
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
            actor_type=actor_type,
            actor_id=actor_id,
        )
    )
    if kind.topic is not None and thread is not None:
        _add_deliveries(tx, organization_id, kind.topic, thread.id, position, now_ms)
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


def _add_deliveries(
    tx: Connection, organization_id: int, topic: str, thread_id: int, position: int, now_ms: int
) -> None:
    """Two statements for any number of webhooks: other writers of the organization wait for the feed's lock."""
    c = webhook_subscriptions.c
    subscribed = select(
        *(c.organization_id, c.webhook_id, literal(thread_id), literal(position), literal("waiting"), literal(now_ms))
    ).where(c.organization_id == organization_id, c.topic == topic)
    names = ["organization_id", "webhook_id", "thread_id", "position", "state", "created_at_ms"]
    added = insert(deliveries).from_select(names, subscribed).returning(deliveries.c.webhook_id)
    # Only the webhooks that got a delivery above. Sorted, so that there are no deadlocks.
    key = {"organization_id": organization_id, "thread_id": thread_id, "background": 0, "position": position}
    queues = [key | {"webhook_id": webhook_id, "due_at_ms": now_ms} for webhook_id in sorted(tx.scalars(added))]
    if queues:
        queue = upsert(tx, delivery_queues).values(queues)
        # Changes nothing, but waits for a transaction that deletes the row: db/schema/functions/store_messages_v1.sql.
        tx.execute(
            queue.on_conflict_do_update(
                index_elements=list(delivery_queues.primary_key.columns),
                set_={"due_at_ms": queue.excluded.due_at_ms},
                where=delivery_queues.c.organization_id < 0,
            )
        )


def upsert(tx: Connection, table: Table) -> Any:
    """An insert with ``on_conflict_…``, for which SQLAlchemy has one class per engine."""
    return import_module(f"sqlalchemy.dialects.{tx.dialect.name}").insert(table)
