"""The one way to the database: what both engines promise, and the choice between them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shopbell.errors import StorageError
from shopbell.storage.failures import storage_failure
from shopbell.storage.rowset import Program

P = ParamSpec("P")
T = TypeVar("T")

LOST_RACE_TRIES = 5
"""How often an ordinary transaction is run that lost a race against another process, before it counts as a failure of
storage."""

ANSWER_TIMEOUT_S = 8
"""How long an ordinary transaction is waited for; a database that is silent must not keep a request for ever."""

# What fails before a driver is asked: no connection became free, or the file's folder is gone or read-only.
_FAILURES_AROUND = (PoolTimeoutError, OSError)


class Database(ABC):
    """A database of one of the two engines.

    A transaction is a plain synchronous function ``fn(tx, …)`` that touches nothing but ``tx`` and may be run again.
    ``write`` is the only commit in the program beside the hot path's ``run``.

    Args:
        engine: SQLAlchemy's engine for ordinary transactions.
    """

    snapshot_options: Mapping[str, Any] = {"reads_only": True}
    """What a connection needs so that a transaction sees one moment: SQLite's always do."""

    snapshot_begins: tuple[str, ...] = ()
    """With what such a transaction begins."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def write_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in one transaction and commit it, in this thread.

        Raises:
            StorageError: the database failed; nothing of the transaction is there, or (a commit cut off) nothing is
                known.
        """
        for attempt in range(1, LOST_RACE_TRIES + 1):
            try:
                with self.engine.begin() as tx:
                    return fn(tx, *args, **kwargs)
            except (DBAPIError, *_FAILURES_AROUND) as error:
                if self.is_lost_race(_cause(error)) and attempt < LOST_RACE_TRIES:
                    continue
                raise self._as_storage_error(error) from error
        raise AssertionError("the last try returns or raises")

    def read_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in one transaction that only reads, in this thread.

        Raises:
            StorageError: the database failed.
        """
        try:
            with self.engine.connect().execution_options(reads_only=True) as tx:
                return fn(tx, *args, **kwargs)
        except (DBAPIError, *_FAILURES_AROUND) as error:
            raise self._as_storage_error(error) from error

    def snapshot_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``read_now``, for what takes long: however many statements ``fn`` has, all of them see one moment.

        Raises:
            StorageError: the database failed.
        """
        try:
            with self.engine.connect().execution_options(**self.snapshot_options) as tx:
                for statement in self.snapshot_begins:
                    tx.exec_driver_sql(statement)
                return fn(tx, *args, **kwargs)
        except (DBAPIError, *_FAILURES_AROUND) as error:
            raise self._as_storage_error(error) from error

    async def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``write_now``, in a thread beside the event loop, and with a deadline."""
        return await _in_time(asyncio.to_thread(self.write_now, fn, *args, **kwargs))

    async def read(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``read_now``, in a thread beside the event loop, and with a deadline."""
        return await _in_time(asyncio.to_thread(self.read_now, fn, *args, **kwargs))

    @abstractmethod
    async def run(self, program: Callable[[], Program[T]]) -> T:
        """Run a program of the hot path as one transaction, at driver level.

        Args:
            program: begins the program; called again when the transaction lost a race.

        Returns:
            The program's result, after the commit is on disk.

        Raises:
            StorageError: the database failed; what was written is not confirmed.
        """

    @abstractmethod
    def is_lost_race(self, error: BaseException | None) -> bool:
        """Whether running the transaction again is all that this error of the driver takes."""

    @abstractmethod
    def is_failure(self, error: BaseException | None) -> bool:
        """Whether this error of the driver says that the database failed, and not that a statement is wrong."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of all connections."""

    def _as_storage_error(self, error: Exception) -> Exception:
        if not isinstance(error, _FAILURES_AROUND) and not self.is_failure(_cause(error)):
            return error
        return storage_failure(_cause(error))


def _cause(error: Exception) -> BaseException:
    return error.orig or error if isinstance(error, DBAPIError) else error


async def _in_time(answer: Awaitable[T]) -> T:
    """Wait for a thread's result. Nothing can end a thread: it goes on until its driver gives up."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await answer
    except TimeoutError:
        raise StorageError("the database took too long to answer") from None
