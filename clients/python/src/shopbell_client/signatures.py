"""Verify webhook requests and parse their events."""

import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from shopbell_client.actors import Actor
from shopbell_client.errors import BadSignature, UnexpectedResponse
from shopbell_client.shape import json_field, read


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent:
    """A new message in a conversation, from the customer or the organization.

    Args:
        id: the id of the event. It stays the same when the event is delivered again.
        thread_sequence: the message's place in the conversation: 1, 2, 3 and so on.
        invisible: whether the message is an internal note, which the customer does not see.
        timestamp_ms: when the message was sent, in Unix milliseconds.
        employee_user_id: the employee who sent it, if one did.
        mute_bot: whether the conversation is assigned to an employee, so that bots should not reply.
        actor: who caused it; None if the server does not tell.
    """

    id: str
    from_customer: bool
    invisible: bool
    thread_id: str = json_field("customerThreadId")
    business_id: str
    organization_id: str
    customer_id: str
    customer_type: str
    message_id: str
    text: str = json_field("messageBody", repr=False)
    timestamp_ms: int = json_field("messageTimestamp")
    attachment_uuid: str | None = json_field("messageAttachmentUUID")
    attachment_name: str | None = json_field("messageAttachmentName", repr=False)
    attachment_content_type: str | None = json_field("messageAttachmentContentType")
    attachment_content_length_bytes: int | None = json_field("messageAttachmentContentLength")
    employee_user_id: str | None
    external_id: str | None = json_field("messageExternalId")
    thread_sequence: int | None = None
    mute_bot: bool = False
    actor: Actor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEvent:
    """A conversation was transferred to another business of the organization.

    Args:
        actor: who caused it; None if the server does not tell.
    """

    id: str
    thread_id: str = json_field("customerThreadId")
    organization_id: str
    customer_id: str
    from_business_id: str
    to_business_id: str
    employee_user_id: str | None
    actor: Actor | None = None


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event of a type that this version of the client does not know.

    Respond with status 2xx.
    """

    id: str
    type: str
    data: Mapping[str, Any] = field(repr=False)


Event = MessageEvent | TransferEvent | OtherEvent


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secrets: str | Sequence[str], *, tolerance_s: float = 300
) -> Event:
    """Verify the signature of a webhook request, and return its event.

    Args:
        body: the request body, byte for byte. A body that was parsed and serialized again has another signature.
        headers: the request headers. Names are case-insensitive.
        secrets: the webhook's secret, ``whsec_…``. During a rotation, pass the old and the new one.
        tolerance_s: the maximum age of the request, in seconds. It protects against replayed requests.

    Raises:
        BadSignature: the request is unsigned, signed with another secret, too old, or from the future.
        ValueError: a secret is invalid.
        UnexpectedResponse: the signature is valid, but the event is not.
    """
    lower_case = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp, signatures = (
        lower_case.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not event_id or not re.fullmatch(r"[0-9]{1,11}", timestamp):
        raise BadSignature("The request is not signed.")
    if abs(time.time() - int(timestamp)) > tolerance_s:
        raise BadSignature("The request is too old, or a clock is wrong.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadSignature("The request body is not UTF-8.") from None
    signed_at = datetime.fromtimestamp(int(timestamp), UTC)
    # Webhook.verify is not used: its tolerance is fixed, and malformed signatures make it fail.
    expected = [key.sign(event_id, signed_at, text).encode() for key in _keys(secrets)]
    received = [signature.encode() for signature in signatures.split(" ")]
    if not any(hmac.compare_digest(one, other) for one in expected for other in received):
        raise BadSignature("The signature does not match.")
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        raise UnexpectedResponse("The request is signed, but its body is not JSON.") from None
    return _event(event_id, payload)


def check_secrets(secrets: str | Sequence[str]) -> None:
    """Check secrets when a program starts, rather than when the first event arrives.

    Raises:
        ValueError: a secret is invalid. The message does not contain it.
    """
    _keys(secrets)


def _keys(secrets: str | Sequence[str]) -> list[Webhook]:
    secrets = [secrets] if isinstance(secrets, str) else secrets
    if not secrets:
        raise ValueError("pass at least one webhook secret")
    try:
        return [Webhook(secret) for secret in secrets]
    except (ValueError, EmptyWebhookSecretError):
        raise ValueError("a webhook secret must start with whsec_, followed by base64") from None


def _event(event_id: str, payload: Any) -> Event:
    payload = payload if isinstance(payload, dict) else {}
    is_flat = "eventType" not in payload
    data = payload if is_flat else payload.get("data")
    data = data if isinstance(data, dict) else {}
    event_type = _type_of_flat(data) if is_flat else str(payload["eventType"])
    if event_type == "message":
        return read(MessageEvent, {**data, "id": event_id})
    if event_type == "transfer":
        return read(TransferEvent, {**data, "id": event_id})
    return OtherEvent(event_id, event_type, data)


def _type_of_flat(fields: Mapping[str, object]) -> str:
    """Infer the event type of a ``flat`` payload, which does not contain it."""
    if "fromBusinessId" in fields:
        return "transfer"
    return "message" if "messageId" in fields else "unknown"
