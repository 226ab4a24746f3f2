"""``POST /api/attachments``, ``GET /api/attachments/{attachmentId}``: files that messages may carry."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Request
from pydantic import Field
from starlette.types import Receive, Scope

from shopbell import attachments, media_types
from shopbell.attachment_links import AttachmentLinks
from shopbell.attachments import Attachment
from shopbell.blobs.store import CHUNK_BYTES, Incoming, Store
from shopbell.errors import Conflict, ContentTooLarge, Fault, Invalid
from shopbell.http.addresses import base_url
from shopbell.http.api.access import Caller, ReadsThreads, WritesThreads
from shopbell.http.api.fields import Fields, PathId
from shopbell.http.body import ClientDisconnect
from shopbell.http.one_file import FRAMING_MAX_BYTES, PART, OneFile
from shopbell.http.pace import Pace

LEAST_BYTES_PER_S = 16_384
"""How slow an upload may be, after the time that every body has."""

router = APIRouter(tags=["attachments"])


class Uploaded(Fields):
    """A file that was uploaded."""

    attachment_id: str = Field(examples=["12352"], description="For `attachmentId` of a message.")
    uuid: str = Field(examples=["5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11"], description="As webhooks name it.")
    name: str = Field(examples=["receipt.pdf"], description="Its name, without folders.")
    content_type: str = Field(examples=["application/pdf"], description="What it is, by its content.")
    length_bytes: int = Field(examples=[48213], ge=1)
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])


class LinkedAttachment(Uploaded):
    """A file, and where it can be read without a token for a while."""

    created_at: int = Field(examples=[1700000000000], description="Unix ms.")
    link: str = Field(
        examples=["https://chat.example.com/attachments/5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11/receipt.pdf?expires=…"],
        description="Address of the file. Whoever has it may read the file until it expires.",
    )
    link_expires_at: int = Field(examples=[1700003600000], description="Unix ms.")


AttachmentOfPath = Annotated[PathId, Path(alias="attachmentId", description="The file.", examples=["12352"])]

_BODY: dict[str, Any] = {
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


@router.post("/api/attachments", summary="Upload a file", openapi_extra=_BODY)
async def upload_attachment(caller: WritesThreads, request: Request) -> Uploaded:
    """Upload a file, to be carried by a message (`attachmentId`); `curl -F file=@receipt.pdf` sends such a body.

    What the file is, is found out by its content. A file that no message carries within 24 hours is deleted; those that
    wait may have 1 GiB together, unless the server's operator chose otherwise.
    """
    store, settings = _store(caller), caller.api.settings
    form = OneFile(request.scope["headers"])
    async with store.incoming() as incoming:
        pieces = _pieces(request.receive, request.scope, form, limit_bytes=settings.attachment_limit_bytes)
        content_type = await _take(pieces, store, incoming, settings.attachment_types)
        announced = await caller.write(
            attachments.announce,
            uuid=str(uuid4()),
            name=attachments.clean_name(form.sent_name or ""),
            content_type=content_type,
            length_bytes=incoming.length_bytes,
            sha256=incoming.sha256,
            quota_bytes=settings.attachment_quota_bytes,
            now_ms=time.time_ns() // 1_000_000,
        )
        await store.keep(incoming, announced.blob)
    await caller.write(attachments.arrive, announced.id)
    return Uploaded(**_described(announced))


@router.get("/api/attachments/{attachmentId}", summary="Look up a file")
async def get_attachment(caller: ReadsThreads, attachment_id: AttachmentOfPath, request: Request) -> LinkedAttachment:
    """What is known of a file, and a fresh link to it."""
    found = await caller.read(attachments.get, attachment_id)
    return linked(found, base_url(request, caller.api.settings), caller.api.links)


def linked(attachment: Attachment, base: str, links: AttachmentLinks) -> LinkedAttachment:
    """An attachment with a fresh link to it, as it stands in answers.

    Args:
        attachment: it.
        base: how this server is reached, from ``addresses.base_url``.
        links: makes the link.
    """
    link = links.link(base, attachment.uuid, attachment.name, now_ms=time.time_ns() // 1_000_000)
    return LinkedAttachment(
        **_described(attachment), created_at=attachment.created_at_ms, link=link.url, link_expires_at=link.expires_at_ms
    )


def _described(attachment: Attachment) -> dict[str, Any]:
    return {
        "attachment_id": str(attachment.id),
        "uuid": attachment.uuid,
        "name": attachment.name,
        "content_type": attachment.content_type,
        "length_bytes": attachment.length_bytes,
        "sha256": attachment.sha256,
    }


def _store(caller: Caller) -> Store:
    if caller.api.blobs is None:
        raise Conflict("This server keeps no attachments: its operator has not set SHOPBELL_ATTACHMENTS_URL.")
    return caller.api.blobs


async def _pieces(receive: Receive, scope: Scope, form: OneFile, *, limit_bytes: int) -> AsyncIterator[bytes]:
    """The bytes of the file while they arrive; none above the limit."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit_bytes + FRAMING_MAX_BYTES:
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
        if length_bytes > limit_bytes or pace.arrived_bytes > limit_bytes + FRAMING_MAX_BYTES:
            raise ContentTooLarge(limit_bytes)
        if piece:
            yield piece
    form.end()


async def _take(pieces: AsyncIterator[bytes], store: Store, incoming: Incoming, allowed: str) -> str:
    """Write a file while it arrives, and refuse it as soon as it is clear that it is none that may be kept.

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
            await store.add(incoming, bytes(waiting))
            waiting.clear()
    if not content_type:
        content_type = _allowed_type(waiting, allowed)
    await store.add(incoming, bytes(waiting))
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
