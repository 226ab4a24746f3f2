"""Files that somebody uploads: checked while they arrive, and kept only when they may be."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import uuid4

from fastapi import Request
from starlette.types import Receive, Scope

from shopbell import attachments, media_types
from shopbell.attachments import Attachment
from shopbell.blobs.store import CHUNK_BYTES, Store
from shopbell.errors import Conflict, ContentTooLarge, Fault, Invalid
from shopbell.http.api.access import Api
from shopbell.http.body import ClientDisconnect
from shopbell.http.one_file import PART, OneFile
from shopbell.http.pace import Pace
from shopbell.upload_quota import Limit, UploadMeter

LEAST_BYTES_PER_S = 16_384
"""How slow an upload may be, after the time that every body has."""


async def keep_file(
    request: Request, api: Api, organization_id: int, form: OneFile, limits: Sequence[Limit]
) -> Attachment:
    """Read a file out of a request's body and keep it.

    Args:
        request: who sends it may.
        api: what the routes work with.
        organization_id: whose it is.
        form: takes the body apart.
        limits: the daily limits that the file counts against.

    Raises:
        Invalid: 400; it is no such body, or its file is of a type that is not taken.
        RequestTimeout: 408.
        Conflict: 409; this server keeps no files.
        ContentTooLarge: 413.
        UploadQuotaExceeded: 429.
        StorageError: 503.
    """
    store, settings, now_ms = _store(api), api.settings, time.time_ns() // 1_000_000
    body_bytes = _body_bytes(request.scope)
    least_bytes = None if body_bytes is None else body_bytes - form.beside_max_bytes
    async with UploadMeter(api.database, organization_id, limits, now_ms=now_ms) as meter:
        async with store.incoming() as incoming:

            async def add(chunk: bytes) -> None:
                await meter.take(incoming.length_bytes + len(chunk), least_bytes=least_bytes)
                await store.add(incoming, chunk)

            pieces = _pieces(request.receive, request.scope, form, limit_bytes=settings.attachment_limit_bytes)
            content_type = await _take(pieces, add, settings.attachment_types)
            announced = await api.database.write(
                attachments.announce,
                organization_id,
                uuid=str(uuid4()),
                name=attachments.clean_name(form.sent_name or ""),
                content_type=content_type,
                length_bytes=incoming.length_bytes,
                sha256=incoming.sha256,
                now_ms=time.time_ns() // 1_000_000,
            )
            await store.keep(incoming, announced.blob)
        await api.database.write(attachments.arrive, organization_id, announced.id)
        meter.kept_bytes = announced.length_bytes
    return announced


def _store(api: Api) -> Store:
    if api.blobs is None:
        raise Conflict("This server keeps no attachments: its operator has not set SHOPBELL_ATTACHMENTS_URL.")
    return api.blobs


async def _pieces(receive: Receive, scope: Scope, form: OneFile, *, limit_bytes: int) -> AsyncIterator[bytes]:
    """The bytes of the file while they arrive; none above the limit."""
    most_bytes = limit_bytes + form.beside_max_bytes
    if (_body_bytes(scope) or 0) > most_bytes:
        raise ContentTooLarge(limit_bytes)
    pace = Pace.of(scope, LEAST_BYTES_PER_S)
    length_bytes, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        pace.arrived_bytes += len(body)
        piece = form.feed(body)
        length_bytes += len(piece)
        if length_bytes > limit_bytes or pace.arrived_bytes > most_bytes:
            raise ContentTooLarge(limit_bytes)
        if piece:
            yield piece
    form.end()


def _body_bytes(scope: Scope) -> int | None:
    """How long the request says that its body is, if it does."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), None)


async def _take(pieces: AsyncIterator[bytes], add: Callable[[bytes], Awaitable[None]], allowed: str) -> str:
    """Write a file while it arrives, and refuse it as soon as it is clear that it is none that may be kept.

    Args:
        pieces: the bytes of the file.
        add: counts and writes the next chunk.
        allowed: the media types that are kept.

    Returns:
        Its media type.
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
        raise Invalid([Fault("body", f"#/{PART}", "blank", "must not be empty")])
    content_type = media_types.sniff(bytes(beginning[: media_types.SNIFF_BYTES]))
    if not media_types.is_among(content_type, allowed):
        types = [each.strip() for each in allowed.split(",")]
        detail = "must be, by its content, of a type that this server takes"
        raise Invalid([Fault("body", f"#/{PART}", "unsupported_media_type", detail, members={"allowed": types})])
    return content_type
