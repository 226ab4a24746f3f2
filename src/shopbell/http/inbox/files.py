"""The files of drafts and saved replies in requests and responses."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import Request
from pydantic import Field
from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.attachments.attachments import Attachment
from shopbell.http.api.attachments import LinkedAttachment, linked
from shopbell.http.request.base_url import base_url
from shopbell.http.request.caller import Caller
from shopbell.http.request.fields import Id
from shopbell.inbox.drafts import Draft
from shopbell.inbox.files import FILES_MAX
from shopbell.inbox.saved_replies import SavedReply

AttachmentIds = Annotated[list[Id], Field(max_length=FILES_MAX)]


async def check_files(caller: Caller, attachment_ids: Iterable[int]) -> None:
    """Check that the caller sees files that they want to add.

    Raises:
        NotFound: 404; as if they did not exist.
        StorageError: 503.
    """
    for attachment_id in attachment_ids:
        await caller.check_attachment(attachment_id, "attachmentIds")


def read_files(
    tx: Connection, organization_id: int, owners: Iterable[Draft] | Iterable[SavedReply]
) -> dict[int, Attachment]:
    """The files of drafts or saved replies, by id."""
    ids = {id_ for owner in owners for id_ in owner.attachment_ids}
    return attachments.find(tx, organization_id, ids) if ids else {}


def link_files(
    request: Request, caller: Caller, files: Mapping[int, Attachment], attachment_ids: Iterable[int]
) -> list[LinkedAttachment]:
    """Return files with links, in order. Deleted files are left out."""
    services = caller.services
    base = base_url(request, services.settings)
    return [linked(files[id_], base, services.links) for id_ in attachment_ids if id_ in files]
