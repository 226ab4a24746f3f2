"""``POST /hooks/texts/inbound`` and ``/hooks/texts/status``: webhooks of the operator's own SMS gateway.

The bodies are JSON, signed as in Standard Webhooks with ``SHOPBELL_SMS_HTTP_SECRET``::

    {"id": "in-1", "channel": "SMS", "from": "+16175550100", "to": "+15005550006", "text": "Is it ready?"}
    {"id": "12344-7", "status": "delivered"}

Both respond with ``{"result": "ok"}`` after the commit. A repeated ``id`` is stored once.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.errors import FieldError, Invalid
from shopbell.formats import names
from shopbell.http.hooks.access import NotSigned, TextHooks, hooks_of
from shopbell.http.request.body import read_body
from shopbell.http.request.field_errors import field_errors
from shopbell.http.request.fields import Fields, FilledLine, Line, field_error
from shopbell.http.request.json_headers import read_json_headers
from shopbell.http.request.json_object import parse_object
from shopbell.sms.error_codes import KNOWN, OTHERWISE
from shopbell.sms.inbound import InboundMedia, InboundText, StatusReport, TextStatus
from shopbell.sms.outgoing import TextChannel
from shopbell.sms.signatures import is_signed
from shopbell.sms.stop_words import find_keyword

_OK = {"result": "ok"}
_MEDIA_MAX = 10
_URL_MAX_CHARACTERS = 2_048

F = TypeVar("F", bound=Fields)

router = APIRouter(include_in_schema=False)


def _number(value: str) -> str:
    if not re.fullmatch(r"\+?[0-9]{3,15}", value, re.ASCII):
        raise field_error("invalid_phone_number", "must be a phone number with + and the country code, or a short code")
    return value


def _storable(value: str) -> str:
    if "\0" in value:
        raise field_error("invalid_character", "must not contain U+0000")
    return value


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise field_error("invalid_format", "must be an https URL")
    return value


Number = Annotated[str, AfterValidator(_number)]


class Media(Fields):
    """A file of an incoming message."""

    url: Annotated[str, StringConstraints(max_length=_URL_MAX_CHARACTERS), AfterValidator(_https)]
    content_type: FilledLine


class Inbound(Fields):
    """An incoming message."""

    id: FilledLine
    channel: TextChannel | None = None
    sender: Annotated[Number, Field(alias="from")]
    recipient: Annotated[Number, Field(alias="to")]
    text: Annotated[str, StringConstraints(max_length=MESSAGE_MAX_CHARACTERS), AfterValidator(_storable)] | None = None
    sender_name: Line | None = None
    media: Annotated[list[Media], Field(max_length=_MEDIA_MAX)] | None = None

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require a text or files."""
        text = sent.get("text") or ""
        if sent.get("media") or not isinstance(text, str) or text.strip():
            return []
        return [FieldError("text", "blank", "must not be blank unless there are files")]


class Status(Fields):
    """The status of an outgoing message, by our ``id`` or by the ``providerId`` of the gateway."""

    id: FilledLine | None = None
    provider_id: FilledLine | None = None
    status: Literal["queued", "sent", "delivered", "read", "failed"]
    reason: Annotated[str, StringConstraints(max_length=names.LINE_MAX_CHARACTERS)] | None = None

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Require one of the two ids."""
        return [] if {"id", "provider_id"} & {*sent} else [FieldError("id", "required", "is required")]


class Signed:
    """A body with a valid signature.

    Args:
        hooks: what the route calls.
        fields: the valid body.
    """

    def __init__(self, hooks: TextHooks, fields: Any) -> None:
        self.hooks = hooks
        self.fields = fields


def _signed(model: type[Fields]) -> Callable[[Request], Any]:
    async def read(request: Request) -> Signed:
        """Check the signature, then the body.

        Raises:
            NotFound: 404; another provider is configured.
            NotSigned: 403.
            Invalid: 400, with all errors.
            ContentTooLarge: 413.
            RequestTimeout: 408.
        """
        hooks = hooks_of(request, "http")
        settings = hooks.settings
        secret = settings.sms_http_secret
        if secret is None or "webhook-signature" not in request.headers:
            raise NotSigned
        body = await read_body(request.receive, request.scope, settings.body_limit_bytes)
        if not is_signed(secret.get_secret_value(), request.headers, body, now_s=time.time()):
            raise NotSigned
        headers = read_json_headers(request.scope["headers"])
        document, malformed = parse_object(body) if headers.readable else ({}, None)
        errors = [*headers.errors, *([malformed] if malformed else [])]
        if errors:
            raise Invalid(errors)
        errors = model.cross_field_errors(document)
        try:
            fields = model.model_validate(document)
        except ValidationError as error:
            raise Invalid([*field_errors(error.errors(include_url=False)), *errors]) from None
        if errors:
            raise Invalid(errors)
        return Signed(hooks, fields)

    return read


@router.post("/hooks/texts/inbound")
async def inbound(signed: Annotated[Signed, Depends(_signed(Inbound))]) -> dict[str, str]:
    """Store an incoming message.

    Raises:
        NotSigned: 403.
        Invalid: 400.
        StorageError: 503; nothing is stored, send it again.
    """
    fields: Inbound = signed.fields
    text = fields.text or ""
    await signed.hooks.on_inbound(
        InboundText(
            provider_id=fields.id,
            channel=fields.channel or "SMS",
            sender=fields.sender,
            recipient=fields.recipient,
            text=text,
            media=[InboundMedia(media.url, media.content_type) for media in fields.media or ()],
            sender_name=fields.sender_name or None,
            keyword=find_keyword(text),
        )
    )
    return _OK


@router.post("/hooks/texts/status")
async def status(signed: Annotated[Signed, Depends(_signed(Status))]) -> dict[str, str]:
    """Store the status of an outgoing message.

    Raises:
        NotSigned: 403.
        Invalid: 400.
        StorageError: 503; nothing is stored, send it again.
    """
    fields: Status = signed.fields
    now: TextStatus = fields.status
    reason = (fields.reason if fields.reason in KNOWN else OTHERWISE) if now == "failed" else None
    await signed.hooks.on_status(StatusReport(now, fields.id, fields.provider_id, reason))
    return _OK
