"""Files that messages carry."""

from dataclasses import dataclass, field

from shopbell.client.call import Call, Id, get, part, reader
from shopbell.client.shape import named


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file that was uploaded; ``id`` is the ``attachment_id`` of a message.

    Args:
        uuid: as webhooks name it.
        name: its name, without folders.
        content_type: what it is, by its content.
    """

    id: str = named("attachmentId")
    uuid: str
    name: str = field(repr=False)
    content_type: str
    length_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedFile(UploadedFile):
    """A file, and an address that gives it to whoever has it, until it expires. Times are Unix milliseconds."""

    created_at_ms: int = named("createdAt")
    link: str = field(repr=False)
    link_expires_at_ms: int = named("linkExpiresAt")


def upload_attachment(name: str, content: bytes) -> Call[UploadedFile]:
    """Upload a file, to be carried by a message; one that none carries within a day is deleted.

    Args:
        name: as people will see it.
        content: its bytes; what it is, the server finds out by itself.

    Raises:
        ValidationFailed: 400, it is empty, or of a type that the server does not take.
        ContentTooLarge: 413.
        Conflict: 409, the server keeps no files.
        ShopbellError: any other reason.
    """
    return Call(method="POST", path="/api/attachments", parse=reader(UploadedFile), file=(name, content))


def attachment(attachment_id: Id) -> Call[LinkedFile]:
    """What is known of a file, and a fresh link to it.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get(f"/api/attachments/{part(attachment_id)}", LinkedFile)
