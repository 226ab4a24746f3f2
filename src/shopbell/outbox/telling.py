"""What a delivery tells: read, judged, and made into its body."""

from typing import Any

import structlog
from sqlalchemy import Connection, Row, Select, and_, case, select

from shopbell.outbox.queues import THESE_DELIVERIES, D, DeliveryKey
from shopbell.payloads import Told, body_of
from shopbell.storage.delivery_schema import deliveries, events
from shopbell.storage.schema import assignments, attachments, customers, messages, threads

log = structlog.get_logger()


def _with_what_they_tell() -> Select[Any]:
    """Deliveries, each with all that its body tells."""
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
    return (
        select(
            deliveries,
            e.type,
            e.business_id,
            e.customer_id,
            e.thread_id.label("event_thread_id"),
            e.thread_sequence,
            e.details,
            e.message_id,
            e.created_at_ms.label("happened_at_ms"),
            m.id.label("found_message_id"),
            m.from_customer,
            m.internal,
            m.body.label("text"),
            m.created_at_ms.label("sent_at_ms"),
            m.employee_id,
            m.external_id,
            a.uuid,
            a.name,
            a.content_type,
            a.length_bytes,
            assignments.c.employee_id.label("assignee_id"),
            c.erased_at_ms,
            case((e.position.is_(None), owner_erased_at_ms)).label("owner_erased_at_ms"),
        )
        .select_from(deliveries)
        .outerjoin(events, event)
        .outerjoin(messages, message)
        .outerjoin(attachments, and_(a.organization_id == m.organization_id, a.id == m.attachment_id))
        .outerjoin(customers, and_(c.organization_id == e.organization_id, c.id == e.customer_id))
        .outerjoin(assignments, assignment)
        .where(THESE_DELIVERIES)
    )


_WITH_WHAT_THEY_TELL = _with_what_they_tell()


def read(tx: Connection, keys: list[DeliveryKey]) -> dict[DeliveryKey, Row[Any]]:
    """Read deliveries, each with all that its body tells."""
    if not keys:
        return {}
    rows = tx.execute(_WITH_WHAT_THEY_TELL, {"keys": sorted(keys)})
    return {(row.organization_id, row.webhook_id, row.position): row for row in rows}


def can_be_told(row: Row[Any]) -> bool:
    """Whether what happened may still be told: not what was erased, nor a message that was deleted.

    Events may be kept for a shorter time than the log. What was told once is told again without its event, unless it
    is of somebody who was erased.
    """
    if row.erased_at_ms is not None:
        return False
    if row.type is None:
        return row.body is not None and row.owner_erased_at_ms is None
    return row.message_id is None or row.message_id == row.found_message_id


def body_for(row: Row[Any], version: str) -> str | None:
    """The body of a delivery; None for one that cannot be made, which must not hold up all others."""
    try:
        return body_of(_told(row), version)
    except Exception as error:  # whatever it is, it will be so next time, too
        log.error(
            "bug",
            job="make a body",
            organization=row.organization_id,
            webhook=row.webhook_id,
            position=row.position,
            exc_info=error,
        )
        return None


def _told(row: Row[Any]) -> Told:
    return Told(
        organization_id=row.organization_id,
        event_type=row.type,
        created_at_ms=row.happened_at_ms,
        business_id=row.business_id,
        customer_id=row.customer_id,
        thread_id=row.event_thread_id,
        thread_sequence=row.thread_sequence,
        details=row.details,
        message_id=row.message_id,
        from_customer=row.from_customer,
        internal=row.internal,
        text=row.text,
        sent_at_ms=row.sent_at_ms,
        employee_id=row.employee_id,
        external_id=row.external_id,
        attachment_uuid=row.uuid,
        attachment_name=row.name,
        attachment_type=row.content_type,
        attachment_bytes=row.length_bytes,
        assignee_id=row.assignee_id,
    )
