"""Upload and download attachments."""

from dataclasses import dataclass, field

from shopbell_client.call import Call, Id, get, path_segment, reader
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """An uploaded file. Pass its ``id`` to ``send_message`` as ``attachment_id``.

    Args:
        uuid: the file's id in webhook payloads.
        name: the file name, without folders.
        content_type: detected from the content.
    """

    id: str = json_field("attachmentId")
    uuid: str
    name: str = field(repr=False)
    content_type: str
    length_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedFile(UploadedFile):
    """A file with a download link.

    Anyone who has the link can download the file until it expires.

    Times are Unix milliseconds.
    """

    created_at_ms: int = json_field("createdAt")
    link: str = field(repr=False)
    link_expires_at_ms: int = json_field("linkExpiresAt")


def upload_attachment(name: str, content: bytes) -> Call[UploadedFile]:
    """Upload a file to send with a message.

    The server deletes files that are not sent within one day.

    Args:
        name: the file name that recipients see.
        content: the file's bytes. The server detects the media type.

    Raises:
        ValidationFailed: 400, the file is empty or its type is not allowed.
        ContentTooLarge: 413.
        Conflict: 409, attachments are turned off on this server.
        ShopbellError: any other failure.
    """
    return Call(method="POST", path="/api/attachments", parse=reader(UploadedFile), file=(name, content))


def attachment(attachment_id: Id) -> Call[LinkedFile]:
    """Get a file's details and a new download link.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get(f"/api/attachments/{path_segment(attachment_id)}", LinkedFile)
