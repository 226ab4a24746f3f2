"""Allocate ids from one counter, unique in the installation."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from shopbell.db.program import Statement
from shopbell.db.rowset import Arguments, Number, PostgresStatement, decode_value_of_json
from shopbell.errors import CommandError

ID_END = 2**53
"""All ids are lower, so that JavaScript represents them exactly."""

_STOCK_LIFE_S = 1.0


def _take_on_sqlite(cursor: Any, arguments: Arguments) -> Sequence[int]:
    """Take ids in the transaction of a batch."""
    [(end,)] = cursor.execute("UPDATE ids SET next_id = next_id + :count RETURNING next_id", arguments).fetchall()
    return range(end - arguments["count"], end)


TAKE_IDS = Statement(
    _take_on_sqlite,
    # A sequence ignores transactions, so processes do not wait for each other.
    PostgresStatement(
        (Number("count"),),
        "SELECT json_agg(id) FROM (SELECT nextval('ids') AS id FROM generate_series(1, %(count)s::bigint)) AS taken",
        decode_value_of_json,
    ),
)
"""Takes ``count`` ids and returns them in ascending order. ``IdStock`` saves most of these statements."""


class IdStock:
    """Ids that a process has reserved for its next batches on PostgreSQL.

    PostgreSQL syncs the disk when it commits a transaction that took ids, so a reservation is for many batches. It is
    forgotten after a second: ids of several processes stay roughly in the order of time. Forgotten ids stay unused.
    """

    BATCHES = 16
    """A reservation is for so many batches."""

    def __init__(self) -> None:
        self._ids: Sequence[int] = ()
        self._reserved_at_s = 0.0

    def has(self, count: int) -> bool:
        """Whether so many ids are left."""
        return count <= len(self._ids) and time.monotonic() - self._reserved_at_s < _STOCK_LIFE_S

    def take(self, count: int) -> Sequence[int]:
        """Take ids in ascending order; call :meth:`has` before."""
        taken, self._ids = self._ids[:count], self._ids[count:]
        return taken

    def refill(self, ids: Sequence[int]) -> None:
        """Replace what is left with newly reserved ids."""
        self._ids, self._reserved_at_s = ids, time.monotonic()


def take_id(tx: Connection) -> int:
    """Allocate the next id in an ordinary transaction.

    Returns:
        An id from 12344 to 2**53 - 1, unique in this installation.
    """
    if tx.dialect.name == "sqlite":
        taken: int = tx.execute(text("UPDATE ids SET next_id = next_id + 1 RETURNING next_id - 1")).scalar_one()
    else:
        taken = tx.execute(text("SELECT nextval('ids')")).scalar_one()
    return taken


def take_ids(tx: Connection, count: int) -> list[int]:
    """Allocate several ids, not necessarily consecutive, in an ordinary transaction.

    Args:
        count: 0 or more.
    """
    if tx.dialect.name == "sqlite":
        query = text("UPDATE ids SET next_id = next_id + :count RETURNING next_id - :count")
        first: int = tx.execute(query, {"count": count}).scalar_one() if count else 0
        return list(range(first, first + count))
    return list(tx.scalars(text("SELECT nextval('ids') FROM generate_series(1, :count)"), {"count": count}))


def take_block(tx: Connection, count: int) -> int:
    """Allocate consecutive ids in a transaction of its own.

    Other allocations wait until the transaction ends, so it must do nothing else.

    Args:
        count: 1 or more.

    Returns:
        The first id.

    Raises:
        CommandError: the installation has fewer ids left.
    """
    if tx.dialect.name == "sqlite":
        query = text("UPDATE ids SET next_id = next_id + :count RETURNING next_id - :count")
        first: int = tx.execute(query, {"count": count}).scalar_one()
    else:
        # setval() could repeat ids that another process takes at the same time; ALTER locks the sequence until commit.
        tx.execute(text(f"ALTER SEQUENCE ids INCREMENT BY {count}"))
        first = tx.execute(text("SELECT nextval('ids')")).scalar_one() - count + 1
        tx.execute(text("ALTER SEQUENCE ids INCREMENT BY 1"))
    if first + count > ID_END:
        raise CommandError("this installation has too few ids left")
    return first
