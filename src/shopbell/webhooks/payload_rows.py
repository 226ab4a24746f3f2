"""Reads deliveries with their events."""

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, select

from shopbell.db.schema.core import assignments, attachments, customers, messages, threads
from shopbell.db.schema.webhooks import deliveries, events
from shopbell.webhooks.payloads import EventFields
from shopbell.webhooks.queues import THESE_DELIVERIES, D, DeliveryKey

_FIELDS = tuple(field.name for field in fields(EventFields))


def _with_contents() -> Select[Any]:
    """The query for deliveries with everything that their bodies contain."""
    e, m, a, c, t = events.c, messages.c, attachments.c, customers.c, threads.c
    event = and_(e.organization_id == D.organization_id, e.position == D.position)
    owner_erased_at_ms = (
        select(c.erased_at_ms)
        .select_from(threads.join(customers, and_(c.organization_id == t.organization_id, c.id == t.customer_id)))
        .where(t.organization_id == D.organization_id, t.id == D.thread_id)
        .correlate(deliveries)
        .scalar_subquery()
    )
    message = and_(m.organization_id == e.organization_id, m.thread_id == e.thread_id, m.sequence == e.thread_sequence)
    assignment = and_(
        assignments.c.organization_id == e.organization_id, assignments.c.thread_id == e.thread_id, e.type == "message"
    )
    contents: dict[str, ColumnElement[Any]] = {
        "organization_id": D.organization_id,
        "event_type": e.type,
        "created_at_ms": e.created_at_ms,
        "business_id": e.business_id,
        "customer_id": e.customer_id,
        "thread_id": e.thread_id,
        "thread_sequence": e.thread_sequence,
        "details": e.details,
        "actor_type": e.actor_type,
        "actor_id": e.actor_id,
        "message_id": e.message_id,
        "from_customer": m.from_customer,
        "internal": m.internal,
        "text": m.body,
        "sent_at_ms": m.created_at_ms,
        "employee_id": m.employee_id,
        "external_id": m.external_id,
        "attachment_uuid": a.uuid,
        "attachment_name": a.name,
        "attachment_type": a.content_type,
        "attachment_bytes": a.length_bytes,
        "assignee_id": assignments.c.employee_id,
    }
    return (
        select(
            *(D.organization_id, D.webhook_id, D.position, D.state, D.attempts, D.step, D.first_attempt_at_ms),
            *(D.payload_version, D.body, D.created_at_ms, c.erased_at_ms, m.id.label("found_message_id")),
            case((e.position.is_(None), owner_erased_at_ms)).label("owner_erased_at_ms"),
            *(contents[name].label(f"event_{name}") for name in _FIELDS),
        )
        .select_from(deliveries)
        .outerjoin(events, event)
        .outerjoin(messages, message)
        .outerjoin(attachments, and_(a.organization_id == m.organization_id, a.id == m.attachment_id))
        .outerjoin(customers, and_(c.organization_id == e.organization_id, c.id == e.customer_id))
        .outerjoin(assignments, assignment)
        .where(THESE_DELIVERIES)
    )


_WITH_CONTENTS = _with_contents()


def read(tx: Connection, keys: list[DeliveryKey]) -> dict[DeliveryKey, Row[Any]]:
    """Read deliveries with everything that their bodies contain."""
    if not keys:
        return {}
    return {row[:3]: row for row in tx.execute(_WITH_CONTENTS, {"keys": sorted(keys)}).all()}


def can_be_sent(row: Row[Any]) -> bool:
    """Whether a delivery may still be sent: not after its customer was erased or its message deleted.

    Events may be kept for a shorter time than deliveries. Without its event, a delivery can be sent if it has a body
    and its customer was not erased.
    """
    if row.erased_at_ms is not None:
        return False
    if row.event_event_type is None:
        return row.body is not None and row.owner_erased_at_ms is None
    return row.event_message_id is None or row.event_message_id == row.found_message_id


def event_of(row: Row[Any]) -> EventFields:
    """The event of a delivery."""
    return EventFields(*row[-len(_FIELDS) :])
