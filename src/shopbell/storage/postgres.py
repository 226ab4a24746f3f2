"""PostgreSQL: the engine for many processes and many machines."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg_errors
from psycopg.conninfo import make_conninfo
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL

from shopbell.errors import StorageError
from shopbell.storage.database import ANSWER_TIMEOUT_S, Database
from shopbell.storage.failures import storage_failure
from shopbell.storage.pooler import as_options, as_statements, connect_async, connect_without
from shopbell.storage.rowset import Program, Row
from shopbell.storage.turns import RIGHT_OF_WAY

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3
CONNECTIONS_MAX = 16
"""At once, for ordinary transactions: as many as threads beside the loop may ask for, but on large machines."""
_CONNECTIONS_KEPT = 4
STATEMENT_TIMEOUT_MS = 7_000
# A server that vanished without a word (its machine or the network failed) is given up within about 15 s, not after the
# kernel's quarter of an hour.
_NOTICE_SILENCE = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}

_ORDINARY = {
    "synchronous_commit": "on",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "lock_timeout": "5000",
}
# The hot statements find every row by its key. Prepared while a table was small, a plan could read all of it for ever
# after. And a process that is frozen in a transaction must not keep everybody's right of way.
_HOT = _ORDINARY | {
    "idle_in_transaction_session_timeout": "5000",
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# Each statement sees what was committed before it began, whatever the database's own default is: who waited for a lock
# must see what was done under it. Where there is no session to set it for, each BEGIN says so.
_ISOLATION = {"default_transaction_isolation": "read committed"}

# Another process was quicker: it made the same customer, thread or key, both waited for each other, or (a division by
# zero, ``promise_statements.py``) it merged, blocked or erased a customer of the batch.
_LOST_RACES = (
    pg_errors.UniqueViolation,
    pg_errors.DeadlockDetected,
    pg_errors.SerializationFailure,
    pg_errors.DivisionByZero,
)
# Batches of two processes may still race for one conversation, and each loss is the other's success. Not many more: a
# statement that can never succeed would keep everybody waiting.
_TRIES_WITH_RIGHT_OF_WAY = 15
_FAILURES = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError)


class PostgresDatabase(Database):
    """A PostgreSQL database.

    Args:
        url: its address, with the driver ``postgresql+psycopg``; its ``options`` hold where these do not set another
            value.
        direct_url: its address for what needs a session, where ``url`` leads through a connection pooler.

    Attributes:
        is_pooled: whether nothing of a session may be relied upon: each transaction brings its own settings, and no
            statement is prepared.
        conninfo: how libpq reaches it for what needs a session: locks, ``LISTEN``, PostgreSQL's own programs.
    """

    snapshot_options: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    snapshot_begins = ("SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0")

    def __init__(self, url: URL, direct_url: URL | None = None) -> None:
        self.is_pooled = direct_url is not None
        # Of two values of one setting the server takes the last: what durability needs stands after the URL's own.
        given = " ".join(url.normalized_query.get("options", ()))
        super().__init__(
            create_engine(
                url,
                pool_pre_ping=True,
                pool_size=_CONNECTIONS_KEPT,
                max_overflow=CONNECTIONS_MAX - _CONNECTIONS_KEPT,
                pool_timeout=CONNECT_TIMEOUT_S,
                **_without_session() if self.is_pooled else _with_session(given),
            )
        )
        if self.is_pooled:
            event.listen(self.engine, "begin", lambda tx: tx.exec_driver_sql(as_statements(_ORDINARY)))
        else:
            event.listen(self.engine, "do_connect", connect_without)
        self.conninfo = self._conninfo(direct_url or url)
        hot = {} if self.is_pooled else {"options": f"{given} {as_options(_HOT | _ISOLATION)}"}
        self._hot_conninfo = make_conninfo(self._conninfo(url), **hot)
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._turn = asyncio.Lock()

    async def run(self, program: Callable[[], Program[T]]) -> T:
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    return await self._run_until_won(program)
            except BaseException as error:
                await self._disconnect()  # it may be broken, or an answer may still be on its way
                if self.is_failure(error):
                    raise storage_failure(error) from error
                raise

    async def _run_until_won(self, program: Callable[[], Program[T]]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = await connect_async(self._hot_conninfo, is_pooled=self.is_pooled)
        connection = self._connection
        with suppress(*_LOST_RACES):
            if self.is_pooled:
                async with self._transaction(connection):
                    return await self._run(connection, program())
            # Each statement of the first try is a transaction by itself: a program reads, then writes with one
            # statement, so BEGIN and COMMIT would only cost two more round trips.
            return await self._run(connection, program())
        for _ in range(_TRIES_WITH_RIGHT_OF_WAY):
            # Whoever lost to one of many changes, one after the other, would lose to the next: from now on they wait.
            with suppress(*_LOST_RACES):
                async with self._transaction(connection):
                    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (RIGHT_OF_WAY,))
                    return await self._run(connection, program())
        raise StorageError("the transaction lost too many races")

    @asynccontextmanager
    async def _transaction(self, connection: psycopg.AsyncConnection[Row]) -> AsyncIterator[None]:
        async with connection.transaction():
            if self.is_pooled:
                await connection.execute(as_statements(_HOT))
            yield

    async def _run(self, connection: psycopg.AsyncConnection[Row], program: Program[T]) -> T:
        cursor = connection.cursor()
        rows: list[Row] | None = None
        while True:
            try:
                # The first step of a generator takes no value.
                statement, arguments = program.send(rows)  # type: ignore[arg-type]
            except StopIteration as end:
                result: T = end.value
                return result
            await cursor.execute(statement.postgresql, statement.arguments_for_postgresql(arguments))
            rows = await cursor.fetchall() if cursor.description else []

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def is_lost_race(self, error: BaseException | None) -> bool:
        return isinstance(error, pg_errors.DeadlockDetected | pg_errors.SerializationFailure)

    def is_failure(self, error: BaseException | None) -> bool:
        # What ends the session is no fault of a statement: a pooler passes on why it cannot log in (no such database).
        is_fatal = isinstance(error, psycopg.Error) and error.diag.severity_nonlocalized == "FATAL"
        return is_fatal or isinstance(error, _FAILURES)

    async def close(self) -> None:
        await self._disconnect()
        self.engine.dispose()

    def _conninfo(self, url: URL) -> str:
        # Not by the URL's text: SQLAlchemy writes a space in it as "+", which PostgreSQL's programs read as a plus.
        _, parameters = self.engine.dialect.create_connect_args(url)
        parameters.pop("context", None)  # the driver's own, no parameter of a connection
        given = " ".join(url.normalized_query.get("options", ()))
        return make_conninfo(**{**parameters, "options": given or None, **_NOTICE_SILENCE})


def _with_session(given_options: str) -> dict[str, Any]:
    options = f"{given_options} {as_options(_ORDINARY | _ISOLATION)}"
    return {"connect_args": {**_NOTICE_SILENCE, "options": options}}


def _without_session() -> dict[str, Any]:
    # A statement that is prepared would be looked for in another session.
    return {"connect_args": {**_NOTICE_SILENCE, "prepare_threshold": None}, "isolation_level": "READ COMMITTED"}
