"""Run transactions on the database: the interface that both engines implement."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shopbell.db.failures import storage_failure
from shopbell.db.program import Program
from shopbell.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

LOST_RACE_TRIES = 5
"""How often an ordinary transaction runs if it loses races against other processes; then it fails."""

TRANSACTION_TIMEOUT_S = 8
"""Timeout of an ordinary transaction, so that a database that stops responding does not block requests forever."""

# Errors outside the driver: no free connection in the pool; the folder of the file is missing or read-only.
_NON_DRIVER_ERRORS = (PoolTimeoutError, OSError)


class Database(ABC):
    """A SQLite or PostgreSQL database.

    A transaction is a synchronous function ``fn(tx, …)``. It uses only ``tx`` and can run more than once. ``write``
    and the hot path's ``run`` are the only places that commit.

    Args:
        engine: the SQLAlchemy engine for ordinary transactions.
    """

    snapshot_options: Mapping[str, Any] = {"reads_only": True}
    """Execution options that give a transaction one snapshot; SQLite needs none."""

    snapshot_begins: tuple[str, ...] = ()
    """Statements that start such a transaction."""

    conninfo: str | None = None
    """The libpq connection string for work that needs a session: locks, ``LISTEN``, ``pg_dump``. PostgreSQL only."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def write_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in one transaction in this thread and commit it.

        Raises:
            StorageError: the database failed and the transaction was rolled back. If the connection broke during the
                commit, its outcome is unknown.
        """
        for attempt in range(1, LOST_RACE_TRIES + 1):
            try:
                with self.engine.begin() as tx:
                    return fn(tx, *args, **kwargs)
            except (DBAPIError, *_NON_DRIVER_ERRORS) as error:
                if self.is_lost_race(_cause(error)) and attempt < LOST_RACE_TRIES:
                    continue
                raise self._as_storage_error(error) from error
        raise AssertionError("the last attempt returns or raises")

    def read_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in one read-only transaction in this thread.

        Raises:
            StorageError: the database failed.
        """
        try:
            with self.engine.connect().execution_options(reads_only=True) as tx:
                result = fn(tx, *args, **kwargs)
                tx.commit()  # at a rollback, psycopg would forget the statements that it has prepared
                return result
        except (DBAPIError, *_NON_DRIVER_ERRORS) as error:
            raise self._as_storage_error(error) from error

    def snapshot_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``read_now``, but all statements of ``fn`` see one snapshot and may take long.

        Raises:
            StorageError: the database failed.
        """
        try:
            with self.engine.connect().execution_options(**self.snapshot_options) as tx:
                for statement in self.snapshot_begins:
                    tx.exec_driver_sql(statement)
                return fn(tx, *args, **kwargs)
        except (DBAPIError, *_NON_DRIVER_ERRORS) as error:
            raise self._as_storage_error(error) from error

    async def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``write_now``, but in a worker thread and with a timeout."""
        return await _with_timeout(asyncio.to_thread(self.write_now, fn, *args, **kwargs))

    async def read(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``read_now``, but in a worker thread and with a timeout."""
        return await _with_timeout(asyncio.to_thread(self.read_now, fn, *args, **kwargs))

    @abstractmethod
    async def run(self, program: Callable[[], Program[T]]) -> T:
        """Run a program of the hot path as one transaction; ``MessageQueue`` calls this.

        Args:
            program: starts the program; called again after a lost race.

        Returns:
            The program's result, once the commit is on disk.

        Raises:
            StorageError: the database failed; the outcome of the transaction may be unknown.
        """

    @abstractmethod
    def is_lost_race(self, error: BaseException | None) -> bool:
        """Whether the transaction can succeed if it runs again after this driver error."""

    @abstractmethod
    def is_failure(self, error: BaseException | None) -> bool:
        """Whether this driver error means that the database failed, not that a statement is wrong."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""

    def _as_storage_error(self, error: Exception) -> Exception:
        if not isinstance(error, _NON_DRIVER_ERRORS) and not self.is_failure(_cause(error)):
            return error
        return storage_failure(_cause(error))


def _cause(error: Exception) -> BaseException:
    return error.orig or error if isinstance(error, DBAPIError) else error


async def _with_timeout(answer: Awaitable[T]) -> T:
    """Wait for a thread's result. A thread cannot be stopped: it runs until its driver gives up."""
    try:
        async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
            return await answer
    except TimeoutError:
        raise StorageError("the database did not respond in time") from None
