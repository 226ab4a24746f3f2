"""``POST /api/attachments``, ``GET /api/attachments/{attachmentId}``: files that messages may carry."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field

from shopbell import attachments
from shopbell.attachment_links import AttachmentLinks
from shopbell.attachments import Attachment
from shopbell.http.addresses import base_url
from shopbell.http.api.access import ReadsThreads, WritesThreads
from shopbell.http.api.fields import Fields, PathId
from shopbell.http.one_file import PART, OneFile
from shopbell.http.uploads import keep_file
from shopbell.upload_quota import organization_limits

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

BODY: dict[str, Any] = {
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


@router.post("/api/attachments", summary="Upload a file", openapi_extra=BODY)
async def upload_attachment(caller: WritesThreads, request: Request) -> Uploaded:
    """Upload a file, to be carried by a message (`attachmentId`); `curl -F file=@receipt.pdf` sends such a body.

    What the file is, is found out by its content. A file that no message carries within 24 hours is deleted. All files
    of an organization and its customers may have 10 GiB a day (UTC) together, unless the server's operator chose
    otherwise; above that the answer is 429 with `maxBytes`.
    """
    form = OneFile(request.scope["headers"])
    limits = organization_limits(caller.api.settings)
    kept = await keep_file(request, caller.api, caller.organization_id, form, limits)
    return Uploaded(**_described(kept))


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
