"""The bodies of webhooks in both versions. Pure.

``envelope`` wraps the ``data`` of an event with its type and time; ``flat`` is the ``data`` alone, for older receivers.
The body of a delivery is made once: every attempt sends the same bytes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shopbell.events.actors import Actor

TEST_EVENT: Final = "webhook-test"


@dataclass(slots=True)
class EventFields:
    """An event with everything that its body contains.

    Times are in Unix ms; absent values are None.

    Args:
        details: the details of the event, as JSON.
        actor_type: as stored (``events/actors.py``).
        assignee_id: the current assignee of the conversation.
    """

    organization_id: int
    event_type: str
    created_at_ms: int
    business_id: int | None
    customer_id: int | None
    thread_id: int | None
    thread_sequence: int | None
    details: str | None
    actor_type: str | None = None
    actor_id: int | None = None
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


PUSH = "ipns"
"""The payload version of pushes in the delivery log."""


@dataclass(frozen=True, slots=True)
class Push:
    """A message to a customer, for the server of their app.

    Args:
        unread_count: the messages that the customer has not read, in all their conversations.
        employee_name: the author; None if it is not an employee.
        picture_url: the link to the attachment if it is a picture.
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
    """The body of a push. Absent values are left out; of an employee, customers see the first name."""
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
    """The ``webhook-id`` of a delivery: the same for every attempt, and unique even after the restore of a backup."""
    return f"evt_{organization_id}_{webhook_id}_{position}_{created_at_ms}"


def body_of(fields: EventFields, version: str) -> str:
    """The body of a request.

    Args:
        fields: the event.
        version: ``envelope`` or ``flat``.
    """
    event_type, data = _data(fields)
    whole = data if version == "flat" else {"eventType": event_type, "timestamp": fields.created_at_ms, "data": data}
    return orjson.dumps(whole).decode()


def _data(fields: EventFields) -> tuple[str, dict[str, Any]]:
    if fields.event_type == TEST_EVENT:
        return TEST_EVENT, {}
    if fields.event_type == "transfer":
        return "transfer", _transfer(fields, orjson.loads(fields.details or "{}"))
    if fields.event_type == "message-delivery":
        return "delivery", _delivery(fields, orjson.loads(fields.details or "{}"))
    return fields.event_type, _message(fields)


def _message(fields: EventFields) -> dict[str, Any]:
    return {
        "fromCustomer": fields.from_customer,
        "invisible": fields.internal,
        "customerThreadId": fields.thread_id,
        "businessId": fields.business_id,
        "organizationId": fields.organization_id,
        "customerId": str(fields.customer_id),
        "customerType": "prospect",
        "messageId": fields.message_id,
        "messageBody": fields.text,
        "messageTimestamp": fields.sent_at_ms,
        "messageAttachmentUUID": fields.attachment_uuid,
        "messageAttachmentName": fields.attachment_name,
        "messageAttachmentContentType": fields.attachment_type,
        "messageAttachmentContentLength": fields.attachment_bytes,
        "employeeUserId": fields.employee_id,
        "messageExternalId": fields.external_id,
        "threadSequence": fields.thread_sequence,
        "muteBot": fields.assignee_id is not None,
        "actor": _actor(fields),
    }


def _transfer(fields: EventFields, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "customerThreadId": fields.thread_id,
        "organizationId": fields.organization_id,
        "customerId": str(fields.customer_id),
        "fromBusinessId": _number(details.get("fromBusinessId")),
        "toBusinessId": _number(details.get("toBusinessId")),
        "employeeUserId": _number(details.get("employeeUserId")),
        "threadSequence": fields.thread_sequence,
        "actor": _actor(fields),
    }


def _delivery(fields: EventFields, details: dict[str, Any]) -> dict[str, Any]:
    """The state of a message on one channel; its text is in the event of the message."""
    return {
        "customerThreadId": fields.thread_id,
        "businessId": fields.business_id,
        "organizationId": fields.organization_id,
        "customerId": str(fields.customer_id),
        "messageId": fields.message_id,
        "messageExternalId": fields.external_id,
        "channel": details.get("channel"),
        "audience": details.get("audience"),
        "state": details.get("state"),
        "reason": details.get("reason"),
        "threadSequence": fields.thread_sequence,
        "actor": _actor(fields),
    }


def _actor(fields: EventFields) -> dict[str, Any]:
    actor = Actor.of_columns(fields.actor_type, fields.actor_id, fields.customer_id)
    return {"type": actor.type, "id": actor.id}


def _number(id_: object) -> int | None:
    """Ids are numbers in webhooks, but strings in some details."""
    return None if id_ is None else int(str(id_))
