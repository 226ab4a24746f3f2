"""Ids: one counter for the whole installation, so that no two objects share one."""

from sqlalchemy import Connection, text

from shopbell.errors import CommandError
from shopbell.storage.rowset import Part, Statement

ID_END = 2**53
"""All ids are below, so that JavaScript reads them exactly."""

TAKE_IDS = Statement(
    rowsets=(),
    sqlite=(
        Part("UPDATE ids SET next_id = next_id + :count"),
        Part(
            "WITH RECURSIVE step(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM step WHERE i < :count) "
            "SELECT next_id - i FROM ids, step ORDER BY i DESC"
        ),
    ),
    # A sequence hands out numbers outside of transactions: processes never wait for each other here.
    postgresql="SELECT nextval('ids') FROM generate_series(1, %(count)s)",
)
"""``count`` ids in ascending order, one a row."""


def take_id(tx: Connection) -> int:
    """Take the next id inside an ordinary transaction.

    Returns:
        An id between 12344 and 2**53 that nothing else in this installation has.
    """
    if tx.dialect.name == "sqlite":
        taken: int = tx.execute(text("UPDATE ids SET next_id = next_id + 1 RETURNING next_id - 1")).scalar_one()
    else:
        taken = tx.execute(text("SELECT nextval('ids')")).scalar_one()
    return taken


def take_ids(tx: Connection, count: int) -> list[int]:
    """Take some ids at once inside an ordinary transaction; they need not follow each other.

    Args:
        tx: the transaction.
        count: how many, 0 or more.
    """
    if tx.dialect.name == "sqlite":
        query = text("UPDATE ids SET next_id = next_id + :count RETURNING next_id - :count")
        first: int = tx.execute(query, {"count": count}).scalar_one() if count else 0
        return list(range(first, first + count))
    return list(tx.scalars(text("SELECT nextval('ids') FROM generate_series(1, :count)"), {"count": count}))


def take_block(tx: Connection, count: int) -> int:
    """Take many ids that follow each other, in a transaction that does nothing else: others wait for its end.

    Args:
        tx: the transaction.
        count: how many, 1 or more.

    Returns:
        The first of them.

    Raises:
        CommandError: there are not as many left.
    """
    if tx.dialect.name == "sqlite":
        query = text("UPDATE ids SET next_id = next_id + :count RETURNING next_id - :count")
        first: int = tx.execute(query, {"count": count}).scalar_one()
    else:
        # setval() would give out again what another process takes meanwhile; this keeps others away until the commit.
        tx.execute(text(f"ALTER SEQUENCE ids INCREMENT BY {count}"))
        first = tx.execute(text("SELECT nextval('ids')")).scalar_one() - count + 1
        tx.execute(text("ALTER SEQUENCE ids INCREMENT BY 1"))
    if first + count > ID_END:
        raise CommandError("there are not as many ids left in this installation")
    return first
