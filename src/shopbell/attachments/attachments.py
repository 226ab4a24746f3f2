"""Attachments of messages. Owns their table; their bytes are in a store (``attachments/store.py``).

Every file in the store has a row, which is created before the bytes and deleted after them. Without bytes it is marked
as absent (``absent_since_ms``). So ``attachments/cleanup.py`` finds whatever a crash leaves behind.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, or_, select, tuple_, update
from sqlalchemy import exists as there_is

from shopbell.db.businesses import Businesses, is_among
from shopbell.db.ids import take_id
from shopbell.db.schema.core import attachments, messages, threads
from shopbell.db.schema.inbox_actions import scheduled_messages
from shopbell.db.schema.inbox_tools import draft_attachments, drafts, saved_replies, saved_reply_attachments
from shopbell.errors import Conflict, NotFound

UNUSED_MS = 24 * 60 * 60 * 1_000
"""How long an upload is kept while nothing uses it."""

NAME_MAX_CHARACTERS = 255
NAMELESS = "file"
_EXTENSION_MAX_CHARACTERS = 16
_JOINERS = "\u200c\u200d"
"""The invisible characters that some scripts and emoji need."""

_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_USERS = (messages, scheduled_messages, draft_attachments, saved_reply_attachments)
"""The tables whose rows have files, by their column ``attachment_id``."""

_COLUMNS = [column for column in attachments.c if column.name not in ("absent_since_ms", "uploader_id")]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. ``content_type`` is detected from its content, ``sha256`` is hexadecimal, times are Unix ms."""

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
    """Whether the bytes of a file are there, and whether something uses it."""

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
    """The name under which a file is stored: without folders and invisible characters.

    Among these are marks that reverse the direction of writing and so disguise an extension.

    Args:
        sent: the name as sent.

    Returns:
        1 to 255 characters; a long name is cut before its extension.
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


def register(
    tx: Connection,
    organization_id: int,
    *,
    uuid: str,
    name: str,
    content_type: str,
    length_bytes: int,
    sha256: str,
    uploader_id: int | None = None,
    now_ms: int,
) -> Attachment:
    """Create the row of a file before its bytes are stored.

    It stays invisible until ``mark_stored``.

    Args:
        uuid: a new one, for links.
        name: the result of ``clean_name``.
        content_type: detected from its content.
        length_bytes: 1 or more.
        uploader_id: the employee or API token who uploads it; None for a customer.
    """
    attachment = Attachment(
        organization_id, take_id(tx), uuid, name, content_type, length_bytes, sha256, created_at_ms=now_ms
    )
    row = {column.name: getattr(attachment, column.name) for column in _COLUMNS}
    tx.execute(insert(attachments).values(**row, absent_since_ms=now_ms, uploader_id=uploader_id))
    return attachment


def _is_used() -> ColumnElement[bool]:
    """Whether a message, a scheduled one, a draft or a saved reply has the file."""
    c = attachments.c
    # Only the id: for a column that is not in the index, SQLite would read all messages of the organization.
    return or_(
        *(
            there_is(
                select(user.c.attachment_id).where(
                    user.c.organization_id == c.organization_id, user.c.attachment_id == c.id
                )
            )
            for user in _USERS
        )
    )


def mark_stored(tx: Connection, organization_id: int, attachment_id: int) -> None:
    """Make a file visible: its bytes are stored.

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


def check_within(
    tx: Connection,
    organization_id: int,
    attachment_id: int,
    businesses: Businesses,
    *,
    uploader_id: int,
    field: str = "attachmentId",
) -> None:
    """Check that a caller may see an attachment.

    In these businesses, callers see the attachments of messages, scheduled messages and saved replies, and of drafts
    that are theirs or that a program suggests. They also see what they uploaded.

    Args:
        uploader_id: the caller, an employee or API token.
        field: the field or parameter that names it, for the error.

    Raises:
        NotFound: 404; there is none that the caller may see.
    """
    a = attachments.c
    here = (a.organization_id == organization_id, a.id == attachment_id)
    if tx.execute(select(a.id).where(*here, a.uploader_id == uploader_id)).first() is not None:
        return
    place = (organization_id, attachment_id, businesses)
    if not (
        _is_in_message(tx, *place, messages)
        or _is_in_message(tx, *place, scheduled_messages)
        or _is_in_draft(tx, *place, uploader_id)
        or _is_in_saved_reply(tx, *place)
    ):
        raise NotFound(field)


def _is_in_message(
    tx: Connection, organization_id: int, attachment_id: int, businesses: Businesses, table: Table
) -> bool:
    """Whether a row of ``messages`` or ``scheduled_messages`` has the file."""
    m, t = table.c, threads.c
    # Only the ids first, as in `_is_used`.
    ids = tx.scalars(select(m.id).where(m.organization_id == organization_id, m.attachment_id == attachment_id)).all()
    of_message = (t.organization_id == m.organization_id) & (t.id == m.thread_id)
    query = select(m.id).join(threads, of_message).where(m.organization_id == organization_id, m.id.in_(ids))
    return bool(ids) and tx.execute(query.where(is_among(t.business_id, businesses))).first() is not None


def _is_in_draft(
    tx: Connection, organization_id: int, attachment_id: int, businesses: Businesses, employee_id: int
) -> bool:
    f, d, t = draft_attachments.c, drafts.c, threads.c
    query = (
        select(d.id)
        .join_from(draft_attachments, drafts, (d.organization_id == f.organization_id) & (d.id == f.draft_id))
        .join(threads, (t.organization_id == d.organization_id) & (t.id == d.thread_id))
        .where(f.organization_id == organization_id, f.attachment_id == attachment_id)
        .where(d.employee_id.is_(None) | (d.employee_id == employee_id), is_among(t.business_id, businesses))
    )
    return tx.execute(query).first() is not None


def _is_in_saved_reply(tx: Connection, organization_id: int, attachment_id: int, businesses: Businesses) -> bool:
    f, r = saved_reply_attachments.c, saved_replies.c
    of_reply = (r.organization_id == f.organization_id) & (r.id == f.saved_reply_id)
    query = (
        select(r.id)
        .join_from(saved_reply_attachments, saved_replies, of_reply)
        .where(f.organization_id == organization_id, f.attachment_id == attachment_id)
        .where(r.business_id.is_(None) | is_among(r.business_id, businesses))
    )
    return tx.execute(query).first() is not None


def find(tx: Connection, organization_id: int, attachment_ids: Iterable[int]) -> dict[int, Attachment]:
    """Those of these attachments that exist in the organization and have their bytes, by id."""
    c = attachments.c
    query = select(*_COLUMNS).where(
        c.organization_id == organization_id, c.id.in_(list(attachment_ids)), c.absent_since_ms.is_(None)
    )
    return {row["id"]: Attachment(**row) for row in tx.execute(query).mappings()}


def find_by_uuid(tx: Connection, uuid: str) -> Attachment | None:
    """The attachment with a UUID, of any organization: only for requests with a signed link."""
    query = select(*_COLUMNS).where(attachments.c.uuid == uuid, attachments.c.absent_since_ms.is_(None))
    row = tx.execute(query).mappings().first()
    return None if row is None else Attachment(**row)


def exists(tx: Connection, organization_id: int, attachment_id: int) -> bool:
    """Whether an attachment exists in the organization and has its bytes."""
    return bool(find(tx, organization_id, [attachment_id]))


def uses(tx: Connection, after: tuple[int, int], *, limit: int) -> Sequence[Use]:
    """A page of all attachments of the installation, in the order of their keys.

    Args:
        after: organization and id of the last one of the previous page; zeros for the first page.
        limit: how many at most.
    """
    c = attachments.c
    query = (
        select(c.organization_id, c.id, c.uuid, c.created_at_ms, c.absent_since_ms, _is_used().label("is_used"))
        .where(tuple_(c.organization_id, c.id) > after)
        .order_by(c.organization_id, c.id)
        .limit(limit)
    )
    return [Use(**row) for row in tx.execute(query).mappings()]


def blobs(tx: Connection) -> list[tuple[str, bool]]:
    """The names in the store of all files of the installation, each with whether its bytes must be there."""
    c = attachments.c
    query = select(c.organization_id, c.uuid, c.absent_since_ms.is_(None)).order_by(c.organization_id, c.id)
    return [(blob_name(organization_id, uuid), there) for organization_id, uuid, there in tx.execute(query)]


def stored_bytes(tx: Connection) -> int:
    """The total size of all files of the installation whose bytes must be in the store."""
    c = attachments.c
    return int(tx.scalar(select(func.coalesce(func.sum(c.length_bytes), 0)).where(c.absent_since_ms.is_(None))) or 0)


def remove_unused(tx: Connection, organization_id: int, attachment_ids: Sequence[int], *, now_ms: int) -> set[int]:
    """Remove the unused ones of these attachments: their links stop working at once. Returns their ids.

    ``attachments/cleanup.py`` deletes their bytes later.
    """
    if not attachment_ids:
        return set()
    a = attachments.c
    removed = (
        update(attachments)
        .where(a.organization_id == organization_id, a.id.in_(attachment_ids), a.absent_since_ms.is_(None), ~_is_used())
        .values(name="", absent_since_ms=now_ms)
    )
    return set(tx.scalars(removed.returning(a.id)))


def set_absent(tx: Connection, which: Sequence[Use], *, since_ms: int | None) -> None:
    """Mark files as absent since a time in Unix ms, or as there again."""
    keys = [(each.organization_id, each.id) for each in which]
    named = tuple_(attachments.c.organization_id, attachments.c.id).in_(keys)
    tx.execute(update(attachments).where(named).values(absent_since_ms=since_ms))


def delete_absent(tx: Connection, which: Sequence[Use]) -> None:
    """Delete the rows of absent files whose bytes were deleted."""
    c = attachments.c
    named = tuple_(c.organization_id, c.id).in_([(each.organization_id, each.id) for each in which])
    tx.execute(delete(attachments).where(named, c.absent_since_ms.is_not(None)))
