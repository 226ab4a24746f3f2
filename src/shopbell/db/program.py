"""Programs: transactions of the hot path, the same for both engines."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from shopbell.db.rowset import Arguments, PostgresStatement, Values

T = TypeVar("T")

Program = Generator[tuple["Statement", Arguments], Any, T]
"""One transaction of the hot path, as a generator: ``create_customer_messages`` or ``create_replies``.

It yields a statement with its arguments, receives the statement's result, and returns its own result.
``SqliteDatabase.run`` and ``PostgresDatabase.run`` advance it. It has no other effects, so that they can run it again
after a lost race."""


@dataclass(frozen=True)
class Statement:
    """A step of a program, for each engine.

    Both take the same arguments and have the same result.

    Args:
        sqlite: a function of a transaction's cursor and the arguments; it may execute several statements.
        postgresql: one statement, which can be a transaction of its own.
    """

    sqlite: Callable[[Any, Any], Any]
    postgresql: PostgresStatement


def run_in(tx: Connection, program: Program[T]) -> T:
    """Run a program in an ordinary transaction, which may do other things as well.

    If rows have changed since the program read them, PostgreSQL refuses to write, and ``Database.write`` runs the
    transaction again. A transaction that locks the threads of the program's messages first does not lose this race.
    """
    execute = _execute_on_sqlite if tx.dialect.name == "sqlite" else _execute_on_postgresql
    answer: Any = None  # the first step of a generator takes no value
    while True:
        try:
            statement, arguments = program.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = execute(tx, statement, arguments)


class _Cursor:
    """An SQLite cursor whose errors SQLAlchemy wraps, as in ordinary transactions."""

    def __init__(self, tx: Connection) -> None:
        self._tx = tx

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        return self._tx.exec_driver_sql(sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._tx.exec_driver_sql(sql, list(rows))


def _execute_on_sqlite(tx: Connection, statement: Statement, arguments: Arguments) -> Any:
    return statement.sqlite(_Cursor(tx), arguments)


def _execute_on_postgresql(tx: Connection, statement: Statement, arguments: Arguments) -> Any:
    result = tx.exec_driver_sql(statement.postgresql.named_sql, statement.postgresql.named(arguments))
    found: Any = result.cursor
    found = found.pgresult  # undecoded, as the hot path's connection returns it
    rows: list[Values] = [
        [found.get_value(row, column) for column in range(found.nfields)] for row in range(found.ntuples)
    ]
    result.close()
    return statement.postgresql.decode(rows)
