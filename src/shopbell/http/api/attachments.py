"""``POST /api/attachments``, ``GET /api/attachments/{attachmentId}``: files for messages."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field

from shopbell.attachments import attachments
from shopbell.attachments.attachments import Attachment
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.attachments.upload_quota import organization_limits
from shopbell.http.request.base_url import base_url
from shopbell.http.request.caller import ReadsSomeThreads, WritesSomeThreads
from shopbell.http.request.fields import PathId
from shopbell.http.request.multipart import OneFile
from shopbell.http.request.uploads import UPLOAD_BODY, UploadedFile, keep_file
from shopbell.runtime import clock

router = APIRouter(tags=["attachments"])


class LinkedAttachment(UploadedFile):
    """A file, with a link that works without a token until it expires."""

    created_at: int = Field(examples=[1700000000000], description="Unix ms.")
    link: str = Field(
        examples=["https://chat.example.com/attachments/5f0c3b0e-9a2e-4f5e-8d0a-6a4f2f1f7c11/receipt.pdf?expires=…"],
        description="The URL of the file. Anyone with this link can read the file until the link expires.",
    )
    link_expires_at: int = Field(examples=[1700003600000], description="Unix ms.")


AttachmentOfPath = Annotated[PathId, Path(alias="attachmentId", description="The file.", examples=["12352"])]


@router.post("/api/attachments", summary="Upload a file", openapi_extra=UPLOAD_BODY)
async def upload_attachment(caller: WritesSomeThreads, request: Request) -> UploadedFile:
    """Upload a file, then send it with a message (`attachmentId`). `curl -F file=@receipt.pdf` sends such a body.

    The server detects the type from the content. A file that no message uses within 24 hours is deleted. By default,
    all uploads of an organization and its customers may have 10 GiB per day (UTC); above that the response is 429 with
    `maxBytes`.
    """
    form = OneFile(request.scope["headers"])
    limits = organization_limits(caller.services.settings)
    kept = await keep_file(request, caller.services, caller.organization_id, form, limits, uploader_id=caller.id)
    return UploadedFile(**_described(kept))


@router.get("/api/attachments/{attachmentId}", summary="Look up a file")
async def get_attachment(
    caller: ReadsSomeThreads, attachment_id: AttachmentOfPath, request: Request
) -> LinkedAttachment:
    """Read the metadata of a file and get a new link to it."""
    await caller.check_attachment(attachment_id)
    found = await caller.read(attachments.get, attachment_id)
    return linked(found, base_url(request, caller.services.settings), caller.services.links)


def linked(attachment: Attachment, base: str, links: AttachmentLinks) -> LinkedAttachment:
    """Return an attachment with a new link to it.

    Args:
        attachment: the attachment.
        base: the base URL of this server.
        links: signs the link.
    """
    link = links.link(base, attachment.uuid, attachment.name, now_ms=clock.now_ms())
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
