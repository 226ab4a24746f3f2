"""Read and write sets of rows on SQLite, each with one prepared statement."""

from collections.abc import Sequence
from typing import Any

import orjson

from shopbell.db.rowset import Row


def fetch_rows(tx: Any, sql: str, given: Sequence[Row]) -> list[Row]:
    """Execute a statement once with a set of rows, and fetch its result.

    Without rows, the result is empty.

    Args:
        tx: the cursor of a transaction.
        sql: reads the rows from ``json_each(?)``: ``key`` is the index of a row, ``value ->> 0`` its first value.
        given: the rows.
    """
    if not given:
        return []
    result: list[Row] = tx.execute(sql, (orjson.dumps(given).decode(),)).fetchall()
    return result


def write_rows(tx: Any, sql: str, rows: Sequence[Row]) -> None:
    """Execute a statement once for each row; nothing if there are none."""
    if rows:
        tx.executemany(sql, rows)
