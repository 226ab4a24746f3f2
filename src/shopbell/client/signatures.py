"""What a webhook is told: verified first, then read."""

import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from shopbell.client.errors import BadSignature, UnexpectedAnswer
from shopbell.client.shape import named, read


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent:
    """A message in a conversation, of a customer or of the store.

    Args:
        id: the same at every delivery of this event: keep the ids you have seen to notice a repetition.
        thread_sequence: the message's place in its conversation, from 1 and without gaps.
        invisible: an internal message, which the customer does not see.
        timestamp_ms: when it was sent, in Unix milliseconds.
        text: what it says.
        employee_user_id: who of the store wrote it, if an employee did.
        mute_bot: whether the conversation is assigned to an employee, so that bots should not answer.
    """

    id: str
    from_customer: bool
    invisible: bool
    thread_id: str = named("customerThreadId")
    business_id: str
    organization_id: str
    customer_id: str
    customer_type: str
    message_id: str
    text: str = named("messageBody", repr=False)
    timestamp_ms: int = named("messageTimestamp")
    attachment_uuid: str | None = named("messageAttachmentUUID")
    attachment_name: str | None = named("messageAttachmentName", repr=False)
    attachment_content_type: str | None = named("messageAttachmentContentType")
    attachment_content_length_bytes: int | None = named("messageAttachmentContentLength")
    employee_user_id: str | None
    external_id: str | None = named("messageExternalId")
    thread_sequence: int | None = None
    mute_bot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEvent:
    """A conversation was handed to another business of the organization."""

    id: str
    thread_id: str = named("customerThreadId")
    organization_id: str
    customer_id: str
    from_business_id: str
    to_business_id: str
    employee_user_id: str | None


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event of a type that this version of the client does not know; answer 2xx to it."""

    id: str
    type: str
    data: Mapping[str, Any] = field(repr=False)


Event = MessageEvent | TransferEvent | OtherEvent


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secrets: str | Sequence[str], *, tolerance_s: float = 300
) -> Event:
    """Make sure that a call comes from your Shopbell server, and read the event.

    Args:
        body: exactly the bytes that came; a body parsed and written again has another signature.
        headers: of the request, in any case.
        secrets: the webhook's ``whsec_…``; while it is being changed, the old and the new one.
        tolerance_s: how far the call's time may be from this machine's, in seconds: older ones may be repetitions of
            somebody who has overheard one.

    Raises:
        BadSignature: no secret fits, it is too old or from the future, or it is not signed at all.
        ValueError: a secret is not one.
        UnexpectedAnswer: the signature is right, but the event can't be read.
    """
    given = {name.lower(): value for name, value in headers.items()}
    event_id, said, signatures = (given.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not event_id or not re.fullmatch(r"[0-9]{1,11}", said):
        raise BadSignature("The call is not signed.")
    if abs(time.time() - int(said)) > tolerance_s:
        raise BadSignature("The call is too old, or a clock is wrong.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadSignature("The body is not text.") from None
    signed_at = datetime.fromtimestamp(int(said), UTC)
    # Not with the scheme's own `verify`: its tolerance is fixed, and it stumbles over a signature that is none.
    expected = [key.sign(event_id, signed_at, text).encode() for key in _keys(secrets)]
    given_ones = [signature.encode() for signature in signatures.split(" ")]
    if not any(hmac.compare_digest(one, other) for one in expected for other in given_ones):
        raise BadSignature("The signature fits no secret.")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer("The call is signed, but its body is not JSON.") from None
    return _event(event_id, said)


def check_secrets(secrets: str | Sequence[str]) -> None:
    """Make sure that secrets are some, when a program starts and not when the first event comes.

    Raises:
        ValueError: one is not; it is not quoted.
    """
    _keys(secrets)


def _keys(secrets: str | Sequence[str]) -> list[Webhook]:
    several = [secrets] if isinstance(secrets, str) else list(secrets)
    try:
        keys = [Webhook(secret) for secret in several]
    except (ValueError, EmptyWebhookSecretError):
        raise ValueError("a webhook's secret is base64, and begins with whsec_") from None
    if not keys:
        raise ValueError("at least one secret of the webhook is needed")
    return keys


def _event(event_id: str, said: Any) -> Event:
    envelope = said if isinstance(said, dict) else {}
    flat = "eventType" not in envelope
    data = envelope if flat else envelope.get("data")
    fields = {**data, "id": event_id} if isinstance(data, dict) else {}
    kind = _kind_of_flat(fields) if flat else str(envelope["eventType"])
    if kind == "message":
        return read(MessageEvent, fields)
    if kind == "transfer":
        return read(TransferEvent, fields)
    return OtherEvent(event_id, kind, data if isinstance(data, dict) else {})


def _kind_of_flat(fields: Mapping[str, object]) -> str:
    """What the body of ``payloadVersion`` ``flat`` is, which does not say so itself."""
    if "fromBusinessId" in fields:
        return "transfer"
    return "message" if "messageId" in fields else "unknown"
