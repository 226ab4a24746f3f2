"""Statements of the hot path: one spelling per engine, over sets of rows.

A set of rows travels as one JSON document, so that a statement over a thousand rows is one statement, prepared once, on
both engines. Measured against the alternatives (``docs/performance.md``): within 20 % of ``executemany`` on SQLite,
faster than arrays on PostgreSQL.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

Row = tuple[Any, ...]
Arguments = Mapping[str, Sequence[Row] | int]

T = TypeVar("T")

Program = Generator[tuple["Statement", Arguments], list[Row], T]
"""One transaction of the hot path, without its input and output: it yields a statement with its arguments, is sent the
rows, and returns its result. It touches nothing else and may be run again."""

_POSTGRESQL_TYPES = {int: "bigint", str: "text"}


class Rowset:
    """A named set of rows that a statement takes, to be written into its text like a table.

    Args:
        name: the parameter's name, and the table's name inside the statement.
        columns: each column with its type; on SQLite JSON already knows it.
    """

    def __init__(self, name: str, **columns: type[int] | type[str]) -> None:
        self.name = name
        self.columns = tuple(columns)
        picked = ", ".join(f"value ->> {index} AS {column}" for index, column in enumerate(columns))
        self.sqlite = f"(SELECT {picked} FROM json_each(:{name})) AS {name}"
        typed = ", ".join(f"{column} {_POSTGRESQL_TYPES[kind]}" for column, kind in columns.items())
        self.postgresql = f"json_to_recordset(%({name})s::json) AS {name}({typed})"

    def for_sqlite(self, rows: Iterable[Row]) -> str:
        """The rows as SQLite's ``json_each`` reads them fastest: arrays."""
        return orjson.dumps(rows).decode()

    def for_postgresql(self, rows: Iterable[Row]) -> str:
        """The rows as PostgreSQL's ``json_to_recordset`` wants them: objects."""
        return orjson.dumps([dict(zip(self.columns, row, strict=True)) for row in rows]).decode()


@dataclass(frozen=True)
class Part:
    """One of the statements that SQLite needs where PostgreSQL needs one. It is left out when its ``rowset`` is
    empty."""

    sql: str
    rowset: str | None = None


@dataclass(frozen=True)
class Statement:
    """A statement in both spellings; the rows of the last part are its result.

    Args:
        rowsets: the sets of rows that it takes.
        sqlite: what SQLite runs, in order, inside the transaction of its batch.
        postgresql: the same as one statement, which may be a transaction by itself: all of it happens, or nothing.
    """

    rowsets: tuple[Rowset, ...]
    sqlite: tuple[Part, ...]
    postgresql: str

    def arguments_for_sqlite(self, arguments: Arguments) -> dict[str, str | int]:
        """The arguments as SQLite takes them."""
        sets = {rowset.name: rowset.for_sqlite for rowset in self.rowsets}
        return {name: value if isinstance(value, int) else sets[name](value) for name, value in arguments.items()}

    def arguments_for_postgresql(self, arguments: Arguments) -> dict[str, str | int]:
        """The arguments as psycopg takes them."""
        sets = {rowset.name: rowset.for_postgresql for rowset in self.rowsets}
        return {name: value if isinstance(value, int) else sets[name](value) for name, value in arguments.items()}
