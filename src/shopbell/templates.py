"""Templates: texts that channels allow outside of their windows. Owns their table."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shopbell.errors import NotFound
from shopbell.storage.schema import templates


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was written beforehand. Times are Unix ms."""

    organization_id: int
    id: int
    title: str
    text: str
    content_sid: str
    created_at_ms: int


def get(tx: Connection, organization_id: int, content_sid: str) -> Template:
    """The organization's template with this id.

    Raises:
        NotFound: 404.
    """
    c = templates.c
    query = select(templates).where(c.organization_id == organization_id, c.content_sid == content_sid)
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound
    return Template(**row)
