"""Files that messages carry: what is known of them. Owns their table; their bytes are in a store (``blobs/``).

The store never holds what no row tells of: the row is there before the bytes and after them, and is absent to everybody
meanwhile (``absent_since_ms``). So whatever a crash leaves behind is found again by ``attachment_sweep.py``.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Exists, delete, insert, select, tuple_, update
from sqlalchemy import exists as there_is

from shopbell.errors import Conflict, NotFound
from shopbell.storage.ids import take_id
from shopbell.storage.schema import attachments, messages

UNUSED_MS = 24 * 60 * 60 * 1_000
"""How long an upload waits for a message to carry it."""

NAME_MAX_CHARACTERS = 255
NAMELESS = "file"
_EXTENSION_MAX_CHARACTERS = 16
_JOINERS = "\u200c\u200d"
"""Of all characters that cannot be seen, those that scripts and emoji need."""

_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_COLUMNS = [column for column in attachments.c if column.name != "absent_since_ms"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a message may carry. ``content_type`` is what its content says; ``sha256`` in hexadecimal digits;
    times are Unix ms."""

    organization_id: int
    id: int
    uuid: str
    name: str
    content_type: str
    length_bytes: int
    sha256: str
    created_at_ms: int

    @property
    def blob(self) -> str:
        """The name of its bytes in the store."""
        return blob_name(self.organization_id, self.uuid)


@dataclass(frozen=True, slots=True)
class Use:
    """Whether a file is there, and whether a message carries it."""

    organization_id: int
    id: int
    uuid: str
    created_at_ms: int
    absent_since_ms: int | None
    is_used: bool


def blob_name(organization_id: int, uuid: str) -> str:
    """The name of a file's bytes in the store."""
    return f"{organization_id}/{uuid}"


def clean_name(sent: str) -> str:
    """A file's name as it is kept: without folders and without what cannot be seen, such as marks that turn the
    direction of writing and with it an extension around.

    Args:
        sent: the name as it was sent.

    Returns:
        1 to 255 characters; the extension stays when the name is cut.
    """
    last = unicodedata.normalize("NFC", sent).replace("\\", "/").rpartition("/")[2]
    seen = "".join(one for one in last if one in _JOINERS or unicodedata.category(one) not in _INVISIBLE)
    name = " ".join(seen.split()).rstrip(" .")
    if not name.strip(f" .{_JOINERS}"):
        return NAMELESS
    stem, dot, extension = name.rpartition(".")
    if len(name) <= NAME_MAX_CHARACTERS:
        return name
    if not stem or len(extension) > _EXTENSION_MAX_CHARACTERS:
        return name[:NAME_MAX_CHARACTERS]
    return stem[: NAME_MAX_CHARACTERS - len(extension) - 1] + dot + extension


def announce(
    tx: Connection,
    organization_id: int,
    *,
    uuid: str,
    name: str,
    content_type: str,
    length_bytes: int,
    sha256: str,
    now_ms: int,
) -> Attachment:
    """Note a file whose bytes go into the store next; until ``arrive`` nobody finds it.

    Args:
        tx: the transaction.
        organization_id: whose it is.
        uuid: new, and its name to strangers.
        name: what ``clean_name`` gave.
        content_type: what its content says.
        length_bytes: 1 or more.
        sha256: of its bytes.
        now_ms: the time in Unix ms.
    """
    announced = Attachment(
        organization_id, take_id(tx), uuid, name, content_type, length_bytes, sha256, created_at_ms=now_ms
    )
    row = {column.name: getattr(announced, column.name) for column in _COLUMNS}
    tx.execute(insert(attachments).values(**row, absent_since_ms=now_ms))
    return announced


def _carried() -> Exists:
    c = attachments.c
    return there_is().where(messages.c.organization_id == c.organization_id, messages.c.attachment_id == c.id)


def arrive(tx: Connection, organization_id: int, attachment_id: int) -> None:
    """Let a file be found: its bytes are in the store for good.

    Raises:
        Conflict: 409; the upload took so long that the file was removed.
    """
    c = attachments.c
    there = update(attachments).where(c.organization_id == organization_id, c.id == attachment_id)
    if tx.execute(there.values(absent_since_ms=None)).rowcount != 1:
        raise Conflict("The upload took too long. Send the file again.")


def get(tx: Connection, organization_id: int, attachment_id: int) -> Attachment:
    """The organization's attachment with an id.

    Raises:
        NotFound: 404.
    """
    found = find(tx, organization_id, [attachment_id])
    if not found:
        raise NotFound("attachmentId")
    return found[attachment_id]


def find(tx: Connection, organization_id: int, attachment_ids: Iterable[int]) -> dict[int, Attachment]:
    """Those of the organization's attachments that are there, by their ids."""
    c = attachments.c
    query = select(*_COLUMNS).where(
        c.organization_id == organization_id, c.id.in_(list(attachment_ids)), c.absent_since_ms.is_(None)
    )
    return {row["id"]: Attachment(**row) for row in tx.execute(query).mappings()}


def find_by_uuid(tx: Connection, uuid: str) -> Attachment | None:
    """The attachment, of whichever organization: only for who has a link that is signed."""
    query = select(*_COLUMNS).where(attachments.c.uuid == uuid, attachments.c.absent_since_ms.is_(None))
    row = tx.execute(query).mappings().first()
    return None if row is None else Attachment(**row)


def exists(tx: Connection, organization_id: int, attachment_id: int) -> bool:
    """Whether an attachment is the organization's, and there."""
    return bool(find(tx, organization_id, [attachment_id]))


def uses(tx: Connection, after: tuple[int, int], *, limit: int) -> Sequence[Use]:
    """All attachments of the installation in the order of their keys, page by page.

    Args:
        tx: the transaction.
        after: organization and id of the last one of the page before; zeros to begin.
        limit: how many at most.
    """
    c = attachments.c
    query = (
        select(c.organization_id, c.id, c.uuid, c.created_at_ms, c.absent_since_ms, _carried().label("is_used"))
        .where(tuple_(c.organization_id, c.id) > after)
        .order_by(c.organization_id, c.id)
        .limit(limit)
    )
    return [Use(**row) for row in tx.execute(query).mappings()]


def blobs(tx: Connection) -> list[tuple[str, bool]]:
    """The names of all files of the installation in the store, each with whether it must be there."""
    c = attachments.c
    query = select(c.organization_id, c.uuid, c.absent_since_ms.is_(None)).order_by(c.organization_id, c.id)
    return [(blob_name(organization_id, uuid), there) for organization_id, uuid, there in tx.execute(query)]


def set_absent(tx: Connection, which: Sequence[Use], *, since_ms: int | None) -> None:
    """Let files be absent since a time, in Unix ms, or there again."""
    keys = [(each.organization_id, each.id) for each in which]
    named = tuple_(attachments.c.organization_id, attachments.c.id).in_(keys)
    tx.execute(update(attachments).where(named).values(absent_since_ms=since_ms))


def forget(tx: Connection, which: Sequence[Use]) -> None:
    """Delete the rows of files that are absent and whose bytes are gone."""
    c = attachments.c
    named = tuple_(c.organization_id, c.id).in_([(each.organization_id, each.id) for each in which])
    tx.execute(delete(attachments).where(named, c.absent_since_ms.is_not(None)))
