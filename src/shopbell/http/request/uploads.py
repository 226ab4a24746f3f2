"""Uploads: files are checked while they arrive, and stored if they are allowed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

from fastapi import Request
from pydantic import Field
from starlette.types import Receive, Scope

from shopbell.attachments import attachments, media_types
from shopbell.attachments.attachments import Attachment
from shopbell.attachments.store import CHUNK_BYTES, Store
from shopbell.attachments.upload_quota import Limit, UploadMeter
from shopbell.errors import Conflict, FieldError, Invalid
from shopbell.http.request.app_services import Services
from shopbell.http.request.errors import ContentTooLarge
from shopbell.http.request.fields import Fields
from shopbell.http.request.multipart import PART, OneFile
from shopbell.http.server.errors import ClientDisconnect
from shopbell.http.server.upload_rate import MinUploadRate
from shopbell.runtime import clock

LEAST_BYTES_PER_S = 16_384
"""The minimum rate of an upload that takes longer than the body timeout."""


class UploadedFile(Fields):
    """An uploaded file."""

    attachment_id: str = Field(examples=["12352"], description="For `attachmentId` of a message.")
    uuid: str = Field(examples=["5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11"], description="Its id in webhooks.")
    name: str = Field(examples=["receipt.pdf"], description="Its name, without folders.")
    content_type: str = Field(examples=["application/pdf"], description="What it is, by its content.")
    length_bytes: int = Field(examples=[48213], ge=1)
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])


UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [PART],
                    "properties": {PART: {"type": "string", "format": "binary", "description": "The file."}},
                }
            }
        },
    }
}


async def keep_file(
    request: Request,
    services: Services,
    organization_id: int,
    form: OneFile,
    limits: Sequence[Limit],
    *,
    uploader_id: int | None = None,
) -> Attachment:
    """Read a file from the body of a request, and store it.

    Args:
        request: of a caller who may upload files.
        services: what the routes work with.
        organization_id: the owner of the file.
        form: parses the body.
        limits: the daily limits that the file counts against.
        uploader_id: the employee or API token who uploads it; None for a customer.

    Raises:
        Invalid: 400; the body is not valid, or the type of the file is not allowed.
        RequestTimeout: 408.
        Conflict: 409; this server stores no files.
        ContentTooLarge: 413.
        UploadQuotaExceeded: 429.
        StorageError: 503.
    """
    store, settings, now_ms = _store(services), services.settings, clock.now_ms()
    body_bytes = _body_bytes(request.scope)
    least_bytes = None if body_bytes is None else body_bytes - form.beside_max_bytes
    async with UploadMeter(services.database, organization_id, limits, now_ms=now_ms) as meter:
        async with store.incoming() as incoming:

            async def add(chunk: bytes) -> None:
                await meter.take(incoming.length_bytes + len(chunk), least_bytes=least_bytes)
                await store.add(incoming, chunk)

            pieces = _content(request.receive, request.scope, form, limit_bytes=settings.attachment_limit_bytes)
            content_type = await _store_content(pieces, add, settings.attachment_types)
            registered = await services.database.write(
                attachments.register,
                organization_id,
                uuid=str(uuid4()),
                name=attachments.clean_name(form.sent_name or ""),
                content_type=content_type,
                length_bytes=incoming.length_bytes,
                sha256=incoming.sha256,
                uploader_id=uploader_id,
                now_ms=clock.now_ms(),
            )
            await store.keep(incoming, registered.blob)
        await services.database.write(attachments.mark_stored, organization_id, registered.id)
        meter.kept_bytes = registered.length_bytes
    return registered


def _store(services: Services) -> Store:
    if services.attachment_store is None:
        raise Conflict("This server stores no attachments. Ask its operator to set SHOPBELL_ATTACHMENTS_URL.")
    return services.attachment_store


async def _content(receive: Receive, scope: Scope, form: OneFile, *, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the bytes of the file while they arrive, up to the limit."""
    most_bytes = limit_bytes + form.beside_max_bytes
    if (_body_bytes(scope) or 0) > most_bytes:
        raise ContentTooLarge(limit_bytes)
    rate = MinUploadRate.of(scope, LEAST_BYTES_PER_S)
    length_bytes, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        rate.arrived_bytes += len(body)
        piece = form.feed(body)
        length_bytes += len(piece)
        if length_bytes > limit_bytes or rate.arrived_bytes > most_bytes:
            raise ContentTooLarge(limit_bytes)
        if piece:
            yield piece
    form.end()


def _body_bytes(scope: Scope) -> int | None:
    """Return the ``Content-Length``, if there is one."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), None)


async def _store_content(pieces: AsyncIterator[bytes], add: Callable[[bytes], Awaitable[None]], allowed: str) -> str:
    """Write a file while it arrives, and return its media type. Refuse it as soon as its type is known and not allowed.

    Args:
        pieces: the bytes of the file.
        add: counts and writes the next chunk.
        allowed: the allowed media types, separated by commas.
    """
    content_type = ""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if not content_type and len(waiting) >= media_types.SNIFF_BYTES:
            content_type = _allowed_type(waiting, allowed)
        if len(waiting) >= CHUNK_BYTES:
            await add(bytes(waiting))
            waiting.clear()
    if not content_type:
        content_type = _allowed_type(waiting, allowed)
    await add(bytes(waiting))
    return content_type


def _allowed_type(beginning: bytearray, allowed: str) -> str:
    if not beginning:
        raise Invalid([FieldError(PART, "blank", "must not be empty")])
    content_type = media_types.sniff(bytes(beginning[: media_types.SNIFF_BYTES]))
    if not media_types.is_among(content_type, allowed):
        types = [each.strip() for each in allowed.split(",")]
        detail = "must have content of an allowed type"
        raise Invalid([FieldError(PART, "unsupported_media_type", detail, members={"allowed": types})])
    return content_type
