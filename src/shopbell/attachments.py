"""Files that messages carry: what is known of them. Owns their table; their bytes are elsewhere."""

from sqlalchemy import Connection, select

from shopbell.storage.schema import attachments


def exists(tx: Connection, organization_id: int, attachment_id: int) -> bool:
    """Whether an attachment is the organization's."""
    c = attachments.c
    query = select(c.id).where(c.organization_id == organization_id, c.id == attachment_id)
    return tx.execute(query).first() is not None
