"""Rows of values as one JSON parameter.

So a statement is the same for any number of rows.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Dialect, Text, TypeDecorator, bindparam, cast, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Rows(TypeDecorator[Any]):
    """Rows as a JSON document."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002 - both engines read it
        return orjson.dumps(value).decode()


class _each_row(FunctionElement[Any]):  # noqa: N801 - a function of SQL
    """The rows of such a document as a table with the column ``value``."""

    name = "each_row"
    inherit_cache = True


@compiles(_each_row, "postgresql")
def _each_row_of_postgresql(element: _each_row, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS json))"


@compiles(_each_row, "sqlite")
def _each_row_of_sqlite(element: _each_row, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


def json_rows(name: str, columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """Return the columns of a table whose rows are the parameter ``name``.

    The parameter is a list of rows, each of which is a list of values.

    Args:
        columns: one for each value of a row; the value gets its name and type.
    """
    row = _each_row(bindparam(name, type_=_Rows)).table_valued("value").c.value
    return [cast(row.op("->>")(literal_column(str(place))), column.type) for place, column in enumerate(columns)]
