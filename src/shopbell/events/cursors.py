"""The places up to which a consumer has consumed the feeds of organizations.

Each consumer has a table with one row per organization. One transaction stores the results of the consumer and its new
place, so no event is consumed twice or skipped. Several workers may consume a feed at once; only one of them finds the
place unchanged.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update

from shopbell.db.schema.webhooks import feeds
from shopbell.events.record import upsert

ORGANIZATIONS_MAX = 50
"""The maximum number of organizations that one query finds."""


def find_behind(tx: Connection, cursors: Table, position: ColumnElement[int], after_id: int) -> list[int]:
    """Find organizations whose feeds have events after a place.

    Args:
        cursors: the table.
        position: the position of the place, an expression of the table's columns. If it is NULL, the organization is
            not found.
        after_id: the organization after which the search begins, so that each gets its turn.
    """
    f = feeds.c
    query = (
        select(f.organization_id)
        .outerjoin(cursors, cursors.c.organization_id == f.organization_id)
        .where(f.last_position > position)
        .order_by(f.organization_id <= after_id, f.organization_id)
        .limit(ORGANIZATIONS_MAX)
    )
    return list(tx.scalars(query))


def move(
    tx: Connection,
    cursors: Table,
    organization_id: int,
    begin: Mapping[str, int | None],
    end: Mapping[str, int | None],
) -> bool:
    """Move a place.

    Args:
        cursors: the table.
        begin: the columns as they were read; the position is 0 if there was no row.
        end: the columns to write.

    Returns:
        False if another worker was first; then nothing is written.
    """
    c = cursors.c
    unchanged = and_(
        c.organization_id == organization_id, *(c[name].is_not_distinct_from(begin[name]) for name in begin)
    )
    if tx.execute(update(cursors).where(unchanged).values(**end)).rowcount == 1:
        return True
    if begin["position"]:
        return False
    first = upsert(tx, cursors).values(organization_id=organization_id, **end)
    return tx.execute(first.on_conflict_do_nothing().returning(c.position)).first() is not None
