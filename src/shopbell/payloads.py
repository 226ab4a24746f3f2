"""What a webhook is sent: an event as the body of a request, in both versions. Pure.

The envelope names the event's type around its ``data``; ``flat`` is the ``data`` alone, as older receivers read it. A
webhook's body is made once: what is sent again are the same bytes.
"""

from dataclasses import dataclass
from typing import Any

import orjson

TEST_EVENT = "webhook-test"


@dataclass(frozen=True, slots=True)
class Told:
    """An event with all that its body tells of it; times in Unix ms, what the event does not have None.

    Args:
        event_type: as the feed names it.
        details: the event's own details, as JSON.
        assignee_id: the employee to whom the conversation is assigned now.
    """

    organization_id: int
    event_type: str
    created_at_ms: int
    business_id: int | None
    customer_id: int | None
    thread_id: int | None
    thread_sequence: int | None
    details: str | None
    message_id: int | None = None
    from_customer: bool | None = None
    internal: bool | None = None
    text: str | None = None
    sent_at_ms: int | None = None
    employee_id: int | None = None
    external_id: str | None = None
    attachment_uuid: str | None = None
    attachment_name: str | None = None
    attachment_type: str | None = None
    attachment_bytes: int | None = None
    assignee_id: int | None = None


def delivery_id(organization_id: int, webhook_id: int, position: int, created_at_ms: int) -> str:
    """The ``webhook-id`` of a delivery: the same at every attempt, and no other delivery's, not even after a restore
    of an older backup has taken the feed back."""
    return f"evt_{organization_id}_{webhook_id}_{position}_{created_at_ms}"


def body_of(told: Told, version: str) -> str:
    """The body of a request.

    Args:
        told: the event.
        version: ``envelope`` or ``flat``.
    """
    event_type, data = _data(told)
    whole = data if version == "flat" else {"eventType": event_type, "timestamp": told.created_at_ms, "data": data}
    return orjson.dumps(whole).decode()


def _data(told: Told) -> tuple[str, dict[str, Any]]:
    if told.event_type == TEST_EVENT:
        return TEST_EVENT, {}
    if told.event_type == "transfer":
        return "transfer", _transfer(told, orjson.loads(told.details or "{}"))
    if told.event_type == "message-delivery":
        return "delivery", _delivery(told, orjson.loads(told.details or "{}"))
    return told.event_type, _message(told)


def _message(told: Told) -> dict[str, Any]:
    return {
        "fromCustomer": told.from_customer,
        "invisible": told.internal,
        "customerThreadId": told.thread_id,
        "businessId": told.business_id,
        "organizationId": told.organization_id,
        "customerId": str(told.customer_id),
        "customerType": "prospect",
        "messageId": told.message_id,
        "messageBody": told.text,
        "messageTimestamp": told.sent_at_ms,
        "messageAttachmentUUID": told.attachment_uuid,
        "messageAttachmentName": told.attachment_name,
        "messageAttachmentContentType": told.attachment_type,
        "messageAttachmentContentLength": told.attachment_bytes,
        "employeeUserId": told.employee_id,
        "messageExternalId": told.external_id,
        "threadSequence": told.thread_sequence,
        "muteBot": told.assignee_id is not None,
    }


def _transfer(told: Told, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "customerThreadId": told.thread_id,
        "organizationId": told.organization_id,
        "customerId": str(told.customer_id),
        "fromBusinessId": _number(details.get("fromBusinessId")),
        "toBusinessId": _number(details.get("toBusinessId")),
        "employeeUserId": _number(details.get("employeeUserId")),
        "threadSequence": told.thread_sequence,
    }


def _delivery(told: Told, details: dict[str, Any]) -> dict[str, Any]:
    """What became of a message, on one of its ways; its text is in the message's own event."""
    return {
        "customerThreadId": told.thread_id,
        "businessId": told.business_id,
        "organizationId": told.organization_id,
        "customerId": str(told.customer_id),
        "messageId": told.message_id,
        "messageExternalId": told.external_id,
        "channel": details.get("channel"),
        "audience": details.get("audience"),
        "state": details.get("state"),
        "reason": details.get("reason"),
        "threadSequence": told.thread_sequence,
    }


def _number(id_: object) -> int | None:
    """Ids are numbers here, and strings in some details."""
    return None if id_ is None else int(str(id_))
