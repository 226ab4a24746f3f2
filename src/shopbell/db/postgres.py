"""PostgreSQL: the engine for several processes and machines."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL

from shopbell.db.database import TRANSACTION_TIMEOUT_S, Database
from shopbell.db.failures import storage_failure
from shopbell.db.hot_connection import HotConnection
from shopbell.db.ids import TAKE_IDS, IdStock
from shopbell.db.lock_order import PRIORITY_LOCK
from shopbell.db.pooler import as_options, as_statements, connect_async, connect_directly
from shopbell.db.program import Program, Statement
from shopbell.db.rowset import Arguments
from shopbell.errors import StorageError

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3
CONNECTIONS_MAX = 16
"""Concurrent ordinary transactions: as many as asyncio's worker threads, except on machines with more cores."""
_CONNECTIONS_KEPT = 4
STATEMENT_TIMEOUT_MS = 7_000
# If the server's machine or the network fails, connections break after about 15 s instead of the kernel's 15 minutes.
_DEAD_PEER_DETECTION = {
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
# Hot-path statements find every row by its key. Without these settings, a plan prepared while a table was small could
# scan the whole table forever, and the first executions would each make their own plan. The idle timeout stops a frozen
# process from keeping the priority lock.
_HOT = _ORDINARY | {
    "idle_in_transaction_session_timeout": "5000",
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
# psycopg prepares ordinary statements, too. Their plan may depend on the values.
_CUSTOM_PLANS = {"plan_cache_mode": "force_custom_plan"}
# Each statement must see everything committed before it started, whatever the database's default is: a transaction that
# waited for a lock must see the writes of its previous holder. Through a pooler, each BEGIN sets the isolation level.
_ISOLATION = {"default_transaction_isolation": "read committed"}

# Another process created the same customer, thread or idempotency key; both waited for each other; or rows have changed
# since the batch read them: ``store_messages_v1.sql`` raises that error.
_LOST_RACES = ("23505", "40P01", "40001", "SB001")
# In ordinary transactions, a duplicate is an error that the transaction handles.
_ORDINARY_LOST_RACES = ("40P01", "40001", "SB001")
# Batches of two processes can still race for one conversation; each loss of one is a success of the other. The number
# is limited because a statement that can never succeed would block all other processes.
_PRIORITY_ATTEMPTS = 15
_FAILURES = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError)


class PostgresDatabase(Database):
    """A PostgreSQL database.

    Args:
        url: the database URL, with the driver ``postgresql+psycopg``. Shopbell's settings override its ``options``.
        direct_url: the URL for work that needs a session, if ``url`` goes through a connection pooler.

    Attributes:
        is_pooled: whether sessions are unreliable: each transaction then sets its own settings, and no statement is
            prepared.
    """

    conninfo: str

    snapshot_options: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    snapshot_begins = ("SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0")

    def __init__(self, url: URL, direct_url: URL | None = None) -> None:
        self.is_pooled = direct_url is not None
        # The last value of a setting counts, so the settings for durability come after those of the URL.
        given = " ".join(url.normalized_query.get("options", ()))
        super().__init__(
            create_engine(
                url,
                pool_pre_ping=True,
                pool_size=_CONNECTIONS_KEPT,
                max_overflow=CONNECTIONS_MAX - _CONNECTIONS_KEPT,
                pool_timeout=CONNECT_TIMEOUT_S,
                **_pooled_arguments() if self.is_pooled else _session_arguments(given),
            )
        )
        if self.is_pooled:
            event.listen(self.engine, "begin", lambda tx: tx.exec_driver_sql(as_statements(_ORDINARY)))
        else:
            event.listen(self.engine, "do_connect", connect_directly)
        self.conninfo = self._conninfo(direct_url or url)
        hot = {} if self.is_pooled else {"options": f"{given} {as_options(_HOT | _ISOLATION)}"}
        self._hot_conninfo = make_conninfo(self._conninfo(url), **hot)
        self._connection: HotConnection | None = None
        self._ids = IdStock()
        self._turn = asyncio.Lock()

    async def run(self, program: Callable[[], Program[T]]) -> T:
        async with self._turn:
            try:
                async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                    return await self._run_until_won(program)
            except BaseException as error:
                await self._disconnect()  # it may be broken, or a response may still arrive
                if self.is_failure(error):
                    raise storage_failure(error) from error
                raise

    async def _run_until_won(self, program: Callable[[], Program[T]]) -> T:
        if self._connection is None or self._connection.is_closed:
            await self._disconnect()
            self._connection = await connect_async(self._hot_conninfo, is_pooled=self.is_pooled)
        for attempt in range(1 + _PRIORITY_ATTEMPTS):
            try:
                return await self._attempt(self._connection, program(), has_priority=attempt > 0)
            except psycopg.Error as error:
                if error.sqlstate not in _LOST_RACES:
                    raise
        raise StorageError("the transaction lost too many races")

    async def _attempt(self, connection: HotConnection, program: Program[T], *, has_priority: bool) -> T:
        if not self.is_pooled and not has_priority:
            # Each statement is its own transaction: a program reads and then writes with one statement, so BEGIN and
            # COMMIT would only cost two more round trips.
            return await self._run(connection, program)
        begins = ["BEGIN ISOLATION LEVEL READ COMMITTED"]
        if self.is_pooled:
            begins.append(as_statements(_HOT))
        if has_priority:
            # With many changes in a row, the batch would lose to the next one too. The lock makes the changes wait.
            begins.append(f"SELECT pg_advisory_xact_lock({PRIORITY_LOCK})")
        await connection.command("; ".join(begins))
        try:
            result = await self._run(connection, program)
        except psycopg.Error:
            if not connection.is_closed:
                await connection.command("ROLLBACK")
            raise
        await connection.command("COMMIT")
        return result

    async def _run(self, connection: HotConnection, program: Program[T]) -> T:
        answer: Any = None  # the first step of a generator takes no value
        while True:
            try:
                step, arguments = program.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            if step is TAKE_IDS:
                answer = await self._take_ids(connection, arguments["count"])
            else:
                answer = await _execute(connection, step, arguments)

    async def _take_ids(self, connection: HotConnection, count: int) -> Sequence[int]:
        if not self._ids.has(count):
            self._ids.refill(await _execute(connection, TAKE_IDS, {"count": IdStock.BATCHES * count}))
        return self._ids.take(count)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        # If PostgreSQL crashes, it may forget the ids of a transaction that was rolled back.
        self._ids = IdStock()
        if connection is not None:
            await connection.close()

    def is_lost_race(self, error: BaseException | None) -> bool:
        return isinstance(error, psycopg.Error) and error.sqlstate in _ORDINARY_LOST_RACES

    def is_failure(self, error: BaseException | None) -> bool:
        # FATAL errors end the session and are not the statement's fault: a pooler passes on why its login failed.
        is_fatal = isinstance(error, psycopg.Error) and error.diag.severity_nonlocalized == "FATAL"
        return is_fatal or isinstance(error, _FAILURES)

    async def close(self) -> None:
        await self._disconnect()
        self.engine.dispose()

    def _conninfo(self, url: URL) -> str:
        # Do not use the URL's text: SQLAlchemy writes a space as "+", which PostgreSQL's programs read as a plus sign.
        _, parameters = self.engine.dialect.create_connect_args(url)
        parameters.pop("context", None)  # for the driver, not for libpq
        given = " ".join(url.normalized_query.get("options", ()))
        return make_conninfo(**{**parameters, "options": given or None, **_connection_arguments()})


async def _execute(connection: HotConnection, step: Statement, arguments: Arguments) -> Any:
    statement = step.postgresql
    return statement.decode(await connection.execute(statement.sql, statement.encode(arguments)))


def _connection_arguments() -> dict[str, Any]:
    # As everywhere in libpq, the variable counts if nothing else is given.
    timeout = {} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": CONNECT_TIMEOUT_S}
    return _DEAD_PEER_DETECTION | timeout


def _session_arguments(given_options: str) -> dict[str, Any]:
    options = f"{given_options} {as_options(_ORDINARY | _ISOLATION | _CUSTOM_PLANS)}"
    return {"connect_args": {**_connection_arguments(), "options": options}}


def _pooled_arguments() -> dict[str, Any]:
    # The pooler may run the next execution of a prepared statement in another session, which does not know it.
    return {"connect_args": {**_connection_arguments(), "prepare_threshold": None}, "isolation_level": "READ COMMITTED"}
