"""Hot-path statements of PostgreSQL, with sets of rows as parameters.

A set of rows is passed as one JSON document. So one prepared statement handles a thousand rows. Measured
(``docs/performance.md``): faster than arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

Row = tuple[Any, ...]
Values = Sequence[bytes | None]
"""A row of PostgreSQL, or the parameters of a statement, in text format; None is NULL."""
Arguments = Mapping[str, Any]
"""Rowsets and numbers by the names of a statement's parameters."""

_POSTGRESQL_TYPES = {int: "bigint", str: "text"}


class Rowset:
    """A named set of rows that a statement uses like a table.

    Args:
        name: the name of the parameter and of the table in the statement.
        columns: each column with its type.
    """

    def __init__(self, name: str, **columns: type[int] | type[str]) -> None:
        self.name = name
        self.columns = tuple(columns)
        typed = ", ".join(f"{column} {_POSTGRESQL_TYPES[kind]}" for column, kind in columns.items())
        self.postgresql = f"json_to_recordset(%({name})s::json) AS {name}({typed})"

    def for_postgresql(self, rows: Any) -> bytes | None:
        """Encode the rows as objects, which ``json_to_recordset`` requires.

        An empty set becomes NULL.
        """
        columns = self.columns
        return orjson.dumps([dict(zip(columns, row, strict=True)) for row in rows]) if rows else None


class Number:
    """A parameter of PostgreSQL that is a whole number.

    Args:
        name: the name of the parameter.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def for_postgresql(self, value: Any) -> bytes:
        """Encode the number."""
        return b"%d" % value


class PostgresStatement:
    """A statement of PostgreSQL.

    Args:
        parameters: the parameters; ``sql`` refers to each as ``%(name)s``.
        sql: the statement.
        decode: makes the result of the rows.

    Attributes:
        sql: the statement, with ``$1`` for the first parameter.
        named_sql: the statement with ``%(name)s``, as ordinary transactions execute it.
    """

    def __init__(
        self, parameters: Sequence[Rowset | Number], sql: str, decode: Callable[[list[Values]], Any] = list
    ) -> None:
        self.named_sql = sql
        self.sql = sql % {parameter.name: f"${number}" for number, parameter in enumerate(parameters, 1)}
        self.decode = decode
        self._parameters = [(parameter.name, parameter.for_postgresql) for parameter in parameters]

    def encode(self, arguments: Arguments) -> list[bytes | None]:
        """Encode the arguments in the order of the parameters."""
        return [encode(arguments[name]) for name, encode in self._parameters]

    def named(self, arguments: Arguments) -> dict[str, str | None]:
        """Encode the arguments for ``named_sql``."""
        encoded = zip(self._parameters, self.encode(arguments), strict=True)
        return {name: None if value is None else value.decode() for (name, _), value in encoded}


def decode_row_of_json(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Decode the only row, whose columns are JSON arrays; NULL is an empty one."""
    [row] = rows
    return [orjson.loads(value) if value else [] for value in row]


def decode_value_of_json(rows: Sequence[Sequence[Any]]) -> Any:
    """Decode the only value, which is a JSON array; NULL is an empty one."""
    [value] = decode_row_of_json(rows)
    return value
