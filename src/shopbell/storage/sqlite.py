"""SQLite: the embedded engine. One file, one writer at a time, write-ahead log, every commit synced to the disk."""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from shopbell.errors import StorageError
from shopbell.storage.database import Database
from shopbell.storage.failures import storage_failure
from shopbell.storage.rowset import Program, Row
from shopbell.storage.sqlite_files import OpenFiles, create_if_absent

try:
    # A newer SQLite than most interpreters bring: before 3.51.3 resetting the write-ahead log could corrupt the file.
    # One copy of SQLite per process, always: two on one file break each other's locks. So nothing else here imports
    # `sqlite3`.
    from pysqlite3 import dbapi2 as _driver
except ImportError:  # no wheel for this platform; `doctor` says so
    from sqlite3 import dbapi2 as _driver

driver: Any = _driver
"""The driver of this process: `pysqlite3`, or the standard library's where that has no wheel."""

P = ParamSpec("P")
T = TypeVar("T")

# Result codes of SQLite: a mistake in a statement, and a lock that another process holds.
_SQLITE_ERROR = 1
_SQLITE_BUSY = 5

BUSY_TIMEOUT_S = 5.0
BUSY_PAUSE_S = 0.002
PRAGMAS = (
    "journal_mode = WAL",
    # FULL syncs the log at each commit. In simulated power cuts NORMAL lost acknowledged messages, FULL none.
    "synchronous = FULL",
    "foreign_keys = ON",
    # 64 MB of log before it is folded in: a page that changes often is then written there once. Measured on 1,000,000
    # messages against 16 MB: a sixth more messages per second.
    "wal_autocheckpoint = 16000",
    "cache_size = -32768",
    "trusted_schema = OFF",
    # What moves to another page or is changed leaves nothing behind where it was: who is erased is to be gone from the
    # file. FAST writes no page that would not be written anyway.
    "secure_delete = FAST",
)


class SqliteDatabase(Database):
    """The embedded database.

    Args:
        path: the file; it and its folder are made when absent, readable by the owner alone. It is never made again:
            when it or its log is moved, replaced or deleted later, every transaction fails until it is back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(self._new_engine())
        self._writer: Any = None
        # Stays open beside the others: while it is there, no program that uses SQLite deletes the log, and this one
        # does not begin another.
        self._first: Any = None
        self._files: OpenFiles | None = None
        self._opening = Lock()
        # One writer at a time within this process by a queue, not by polling SQLite's lock.
        self._turn = asyncio.Lock()
        self._commits = ThreadPoolExecutor(1, "commit")

    def connect(self, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Any:
        """Open a connection as ``sqlite.connect`` does, to the files that are open already if there are any.

        Raises:
            StorageError: one of them was moved, replaced or deleted.
        """
        with self._opening:
            if self._files is None:
                self._first = connect(self.path)
                self._first.execute("SELECT 1 FROM sqlite_schema").fetchone()  # SQLite opens the log when it reads
                self._files = OpenFiles(self.path)
        self.check_files()
        connection = _open(self.path, busy_timeout_s)
        try:
            self.check_files()
        except StorageError:
            connection.close()
            raise
        return connection

    def check_files(self) -> None:
        """Check that the files that are open are those that others would open.

        Raises:
            StorageError: one of them was moved, replaced or deleted: what is written into it may be lost.
        """
        files = self._files
        if files is not None:
            files.check()

    def write_now(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = super().write_now(fn, *args, **kwargs)
        self.check_files()
        return result

    async def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._turn:
            return await super().write(fn, *args, **kwargs)

    async def run(self, program: Callable[[], Program[T]]) -> T:
        async with self._turn:
            try:
                return await self._run(program())
            except BaseException as error:
                self._roll_back()
                if self.is_failure(error):
                    raise storage_failure(error) from error
                raise

    async def _run(self, program: Program[T]) -> T:
        if self._writer is None:
            self._writer = self.connect(busy_timeout_s=0)
        await self._begin()
        cursor = self._writer.cursor()
        rows: list[Row] | None = None
        while True:
            try:
                # The first step of a generator takes no value.
                statement, arguments = program.send(rows)  # type: ignore[arg-type]
            except StopIteration as end:
                result: T = end.value
                break
            given = statement.arguments_for_sqlite(arguments)
            for part in statement.sqlite:
                if part.rowset is None or arguments[part.rowset]:
                    cursor.execute(part.sql, given)
            rows = cursor.fetchall()
        # The statements take microseconds and run here, on the loop; the sync takes long and runs beside it. Measured
        # faster than the whole batch in a thread, which waits for the interpreter's lock at every statement.
        await asyncio.get_running_loop().run_in_executor(self._commits, self._commit, self._writer)
        return result

    def _commit(self, writer: Any) -> None:
        writer.commit()
        # Here, before the senders are answered. Measured: about 0.5 % of a batch of 64.
        self.check_files()

    async def _begin(self) -> None:
        # Another process may be writing. SQLite's own wait would block the loop, so it is zero and the wait is here.
        for _ in range(int(BUSY_TIMEOUT_S / BUSY_PAUSE_S)):
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except driver.OperationalError as error:
                if not is_busy(error):
                    raise
                await asyncio.sleep(BUSY_PAUSE_S)
            else:
                return
        raise StorageError("another process holds the database's write lock")

    def _roll_back(self) -> None:
        """End the transaction; after a failure of the disk, with a new connection."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()  # closing rolls back what is open

    def is_lost_race(self, error: BaseException | None) -> bool:  # noqa: ARG002 - with one writer there are no races
        return False

    def is_failure(self, error: BaseException | None) -> bool:
        # SQLITE_ERROR is a mistake in a statement; a full disk, a lock that is held, a file that is gone have codes of
        # their own.
        if isinstance(error, driver.OperationalError):
            return bool(error.sqlite_errorcode != _SQLITE_ERROR)
        # A damaged file; a file or a folder that cannot be opened.
        return type(error) is driver.DatabaseError or isinstance(error, OSError)

    async def close(self) -> None:
        self._roll_back()
        self._commits.shutdown()
        self.engine.dispose()

    def _new_engine(self) -> Engine:
        def connected() -> Any:
            connection = self.connect()
            # Whole pages that are given up are overwritten, too. The hot path, which has no such, is spared the look.
            connection.execute("PRAGMA secure_delete = ON")
            return connection

        url = URL.create("sqlite", database=str(self.path))
        engine = create_engine(url, module=driver, creator=connected)

        @event.listens_for(engine, "begin")
        def begin(tx: Connection) -> None:
            self.check_files()
            if tx.get_execution_options().get("reads_only"):
                tx.exec_driver_sql("BEGIN")
            else:
                _begin_to_write(tx)

        @event.listens_for(engine, "engine_disposed")
        def disposed(_: Engine) -> None:
            with self._opening:
                first, self._first, self._files = self._first, None, None
                if first is not None:
                    first.close()

        return engine


def is_busy(error: BaseException) -> bool:
    """Whether this error of the driver says that another connection holds a lock."""
    return isinstance(error, driver.OperationalError) and error.sqlite_errorcode & 0xFF == _SQLITE_BUSY


def connect(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Any:
    """Open the file with the settings that every connection has.

    Args:
        path: the file; made when absent, with mode 0600.
        busy_timeout_s: how long a statement waits for another writer.

    Returns:
        A connection of the driver, which begins transactions only when told.

    Raises:
        StorageError: the file is absent because it was moved away or deleted while it was in use.
        OSError: the file or its folder cannot be used.
    """
    create_if_absent(path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))  # SQLite's own error names no file
    return _open(path, busy_timeout_s)


def _open(path: Path, busy_timeout_s: float) -> Any:
    # Never creates a file, not even an empty one.
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"
    connection = driver.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin_to_write(tx: Connection) -> None:
    # SQLite's own wait soon looks every 100 ms only. Beside a server that writes batch after batch on a slow disk the
    # lock is free for some hundred microseconds at a time, and most waited in vain.
    until_s = time.monotonic() + BUSY_TIMEOUT_S
    connection: Any = tx.connection.driver_connection
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                # The driver's own transactions begin too late: two readers that then write lose one update silently.
                tx.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if error.orig is None or not is_busy(error.orig) or time.monotonic() > until_s:
                    raise
                time.sleep(BUSY_PAUSE_S)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1_000)}")
