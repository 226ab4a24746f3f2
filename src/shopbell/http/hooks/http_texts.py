"""``POST /hooks/texts/inbound`` and ``/hooks/texts/status``: what a service of the operator's own tells.

JSON, signed as our own webhooks are (Standard Webhooks, with ``SHOPBELL_SMS_HTTP_SECRET``)::

    {"id": "in-1", "channel": "SMS", "from": "+16175550100", "to": "+15005550006", "text": "Is it ready?"}
    {"id": "12344-7", "status": "delivered"}

Both are answered ``{"result": "ok"}`` after the commit. Whatever comes again with the same ``id`` is stored once.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from shopbell.errors import Fault, Invalid
from shopbell.http.api.body import faults_of
from shopbell.http.api.fields import LINE_MAX_CHARACTERS, Fields, FilledLine, Line, wrong
from shopbell.http.body import read_body
from shopbell.http.hooks.access import NotSigned, TextHooks, hooks_of
from shopbell.http.json_body import parse_object
from shopbell.http.json_headers import read_json_headers
from shopbell.http.widget_fields import MESSAGE_MAX_CHARACTERS
from shopbell.texting.inbound import InboundMedia, InboundText, StatusReport, TextStatus
from shopbell.texting.opt_out import asked
from shopbell.texting.outgoing import TextChannel
from shopbell.texting.reasons import KNOWN, OTHERWISE
from shopbell.texting.signatures import is_signed

_OK = {"result": "ok"}
_MEDIA_MAX = 10
_URL_MAX_CHARACTERS = 2_048

F = TypeVar("F", bound=Fields)

router = APIRouter(include_in_schema=False)


def _number(value: str) -> str:
    if not re.fullmatch(r"\+?[0-9]{3,15}", value, re.ASCII):
        raise wrong("invalid_phone_number", "must be a phone number with + and the country code, or a short code")
    return value


def _storable(value: str) -> str:
    if "\0" in value:
        raise wrong("invalid_character", "must not contain U+0000")
    return value


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise wrong("invalid_format", "must be an https URL")
    return value


Number = Annotated[str, AfterValidator(_number)]


class Media(Fields):
    """A file that came with a text."""

    url: Annotated[str, StringConstraints(max_length=_URL_MAX_CHARACTERS), AfterValidator(_https)]
    content_type: FilledLine


class Inbound(Fields):
    """A text that somebody sent to a business."""

    id: FilledLine
    channel: TextChannel | None = None
    sender: Annotated[Number, Field(alias="from")]
    recipient: Annotated[Number, Field(alias="to")]
    text: Annotated[str, StringConstraints(max_length=MESSAGE_MAX_CHARACTERS), AfterValidator(_storable)] | None = None
    sender_name: Line | None = None
    media: Annotated[list[Media], Field(max_length=_MEDIA_MAX)] | None = None

    @classmethod
    def faults_together(cls, sent: Mapping[str, object]) -> list[Fault]:
        """A text, unless there are files."""
        text = sent.get("text") or ""
        if sent.get("media") or not isinstance(text, str) or text.strip():
            return []
        return [Fault("body", "#/text", "blank", "must not be blank unless there are files")]


class Status(Fields):
    """What became of a text that we sent: ``id`` is what we called it, or ``providerId`` what the service does."""

    id: FilledLine | None = None
    provider_id: FilledLine | None = None
    status: Literal["queued", "sent", "delivered", "read", "failed"]
    reason: Annotated[str, StringConstraints(max_length=LINE_MAX_CHARACTERS)] | None = None

    @classmethod
    def faults_together(cls, sent: Mapping[str, object]) -> list[Fault]:
        """One of the two names."""
        return [] if {"id", "provider_id"} & {*sent} else [Fault("body", "#/id", "required", "is required")]


class Signed:
    """A body that the service has signed.

    Args:
        hooks: whom it is handed on to.
        fields: what it says.
    """

    def __init__(self, hooks: TextHooks, fields: Any) -> None:
        self.hooks = hooks
        self.fields = fields


def _signed(model: type[Fields]) -> Callable[[Request], Any]:
    async def read(request: Request) -> Signed:
        """Read a body; what is wrong with it is told only to who has signed it.

        Raises:
            NotFound: 404, texts do not go this way.
            NotSigned: 403.
            Invalid: 400, with all faults.
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
        document, fault = parse_object(body) if headers.readable else ({}, None)
        faults = [*headers.faults, *([fault] if fault else [])]
        if faults:
            raise Invalid(faults)
        faults = model.faults_beside(document)
        try:
            fields = model.model_validate(document)
        except ValidationError as error:
            raise Invalid([*faults_of(error.errors(include_url=False)), *faults]) from None
        if faults:
            raise Invalid(faults)
        return Signed(hooks, fields)

    return read


@router.post("/hooks/texts/inbound")
async def inbound(signed: Annotated[Signed, Depends(_signed(Inbound))]) -> dict[str, str]:
    """Take a text that somebody sent to a business.

    Raises:
        NotSigned: 403.
        Invalid: 400.
        StorageError: 503, nothing is stored: send it again.
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
            asked=asked(text),
        )
    )
    return _OK


@router.post("/hooks/texts/status")
async def status(signed: Annotated[Signed, Depends(_signed(Status))]) -> dict[str, str]:
    """Take what became of a text that we sent.

    Raises:
        NotSigned: 403.
        Invalid: 400.
        StorageError: 503, nothing is stored: send it again.
    """
    fields: Status = signed.fields
    now: TextStatus = fields.status
    reason = (fields.reason if fields.reason in KNOWN else OTHERWISE) if now == "failed" else None
    await signed.hooks.on_status(StatusReport(now, fields.id, fields.provider_id, reason))
    return _OK
