"""What a webhook is sent: an event as the body of a request, in both versions. Pure.

The envelope names the event's type around its ``data``; ``flat`` is the ``data`` alone, as older receivers read it. A
webhook's body is made once: what is sent again are the same bytes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

TEST_EVENT = "webhook-test"


@dataclass(frozen=True, slots=True)
class Told:
    """An event with all that its body tells of it; times in Unix ms, what the event does not have None.

    Args:
        event_type: as the feed names it.
        details: the event's own details, as JSON.
        assignee_id: the employee that the conversation is assigned to now.
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


@dataclass(frozen=True, slots=True)
class Push:
    """A message to a customer, as the server of their app is told of it.

    Args:
        unread_count: the messages that the customer has not read, in all their conversations.
        employee_name: who wrote it; None where no employee did.
        picture_url: the link to the attachment, where that is a picture.
    """

    customer_id: int
    unread_count: int
    sent_at_ms: int
    organization_name: str
    employee_name: str | None
    text: str | None
    attachment_name: str | None
    attachment_type: str | None
    picture_url: str | None


def push_body(push: Push) -> str:
    """The body of a push. What a message does not have is left out; of an employee customers learn the first name."""
    sender: dict[str, Any] = {"organization": {"name": push.organization_name}}
    if push.employee_name and (names := push.employee_name.split()):
        sender["user"] = {"firstName": names[0]}
    message: dict[str, Any] = {"from": sender}
    if push.text:
        message["text"] = push.text
    if push.attachment_name is not None:
        thumbnails = {"thumbnails": {"_50x50": push.picture_url}} if push.picture_url else {}
        message["attachment"] = {"name": push.attachment_name, "contentType": push.attachment_type, **thumbnails}
    sent_at = datetime.fromtimestamp(push.sent_at_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    whole = {
        "type": "message",
        "unreadMessagesCount": push.unread_count,
        "date": sent_at.replace("+00:00", "Z"),
        "customer": {"id": str(push.customer_id)},
        "message": message,
    }
    return orjson.dumps(whole).decode()


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
