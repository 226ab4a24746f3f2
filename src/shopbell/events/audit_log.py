"""Read the audit log, which ``audit.py`` writes."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from shopbell.db.schema.core import audit_entries


@dataclass(frozen=True, slots=True)
class Entry:
    """Who changed what. ``at_ms`` in Unix ms; the other fields as in ``record``."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str


def find_page(tx: Connection, organization_id: int, *, before_id: int | None = None, limit: int) -> list[Entry]:
    """Audit entries, the newest first.

    Args:
        before_id: only entries with a lower id.
        limit: how many at most.
    """
    c = audit_entries.c
    query = (
        select(c.id, c.at_ms, c.actor, c.action, c.subject)
        .where(c.organization_id == organization_id)
        .order_by(c.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        query = query.where(c.id < before_id)
    return [Entry(**row) for row in tx.execute(query).mappings()]
