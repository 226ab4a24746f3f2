"""The files of drafts and saved replies, in order."""

from collections.abc import Collection, Sequence

from sqlalchemy import Column, Connection, Table, delete, insert, select

from shopbell.attachments import attachments
from shopbell.errors import NotFound

FILES_MAX = 10
"""The maximum number of files of a draft or a saved reply."""


def check(tx: Connection, organization_id: int, attachment_ids: Sequence[int]) -> None:
    """Check that all files exist in the organization.

    Raises:
        NotFound: 404.
    """
    if attachment_ids and len(attachments.find(tx, organization_id, attachment_ids)) < len(set(attachment_ids)):
        raise NotFound("attachmentIds")


def replace(tx: Connection, table: Table, organization_id: int, owner_id: int, attachment_ids: Sequence[int]) -> None:
    """Set the files of a draft or saved reply.

    Args:
        table: ``draft_attachments`` or ``saved_reply_attachments``.
        owner_id: the draft or saved reply.
    """
    remove(tx, table, organization_id, [owner_id])
    key = {"organization_id": organization_id, _owner(table).name: owner_id}
    rows = [key | {"place": place, "attachment_id": id_} for place, id_ in enumerate(attachment_ids)]
    if rows:
        tx.execute(insert(table), rows)


def remove(tx: Connection, table: Table, organization_id: int, owner_ids: Collection[int]) -> None:
    """Remove the files of drafts or saved replies.

    Unused files are deleted later (``attachments/cleanup.py``).
    """
    tx.execute(delete(table).where(table.c.organization_id == organization_id, _owner(table).in_(owner_ids)))


def of(tx: Connection, table: Table, organization_id: int, owner_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
    """The ids of the files of each of these drafts or saved replies."""
    found: dict[int, tuple[int, ...]] = dict.fromkeys(owner_ids, ())
    owner = _owner(table)
    query = select(owner, table.c.attachment_id).where(table.c.organization_id == organization_id, owner.in_(owner_ids))
    for owner_id, attachment_id in tx.execute(query.order_by(owner, table.c.place)):
        found[owner_id] += (attachment_id,)
    return found


def _owner(table: Table) -> Column[int]:
    return list(table.primary_key.columns)[1]
