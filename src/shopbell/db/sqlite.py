"""SQLite: one file, one writer at a time, a write-ahead log, synced commits."""

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

from shopbell.db.database import Database
from shopbell.db.failures import storage_failure
from shopbell.db.program import Program
from shopbell.db.sqlite_files import OpenFiles, create_if_absent
from shopbell.errors import StorageError

try:
    # Newer than the SQLite of most interpreters: before 3.51.3, a reset of the write-ahead log could corrupt the file.
    # A process must load only one copy of SQLite, because two copies break each other's locks on a file. So no other
    # module imports `sqlite3`.
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

CACHE_MB = 8
"""Among 10,000,000 messages, a cache of 32 MB took a tenth more CPU time: it does not fit the processor's caches."""
BUSY_TIMEOUT_S = 5.0
BUSY_PAUSE_S = 0.002
_MESSAGES_PAUSE_S = 0.001
"""Messages try to get the write lock more often than other transactions do, so they wait less for it. uvloop rounds
to milliseconds: a shorter pause would be none."""
PRAGMAS = (
    "journal_mode = WAL",
    # FULL syncs the log at each commit. In simulated power cuts NORMAL lost acknowledged messages, FULL none.
    "synchronous = FULL",
    "foreign_keys = ON",
    # Checkpoint after 64 MB of log, so that a page that changes often is written to the database once. Measured on
    # 1,000,000 messages: one sixth more messages per second than with 16 MB.
    "wal_autocheckpoint = 16000",
    "trusted_schema = OFF",
    # Overwrite deleted and changed content with zeros: the file must not contain erased customers. FAST does so only on
    # pages that SQLite writes anyway.
    "secure_delete = FAST",
)


class SqliteDatabase(Database):
    """The embedded database.

    Args:
        path: the file. It and its folder are created if missing, readable only by the owner. If the file or its log is
            later moved, replaced or deleted, every transaction fails until it is back; it is not created again.
        cache_mb: the page cache of each connection.
    """

    def __init__(self, path: Path, *, cache_mb: int = CACHE_MB) -> None:
        self.path = path
        self._cache_mb = cache_mb
        super().__init__(self._new_engine())
        self._writer: Any = None
        # This connection stays open. While it is open, no other program that uses SQLite deletes the log, and this
        # process starts no new log.
        self._first: Any = None
        self._files: OpenFiles | None = None
        self._opening = Lock()
        # Writers in this process queue here instead of polling SQLite's lock.
        self._turn = asyncio.Lock()
        self._commits = ThreadPoolExecutor(1, "commit")

    def connect(self, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Any:
        """Open a connection to the same files as the connections that are already open.

        Raises:
            StorageError: a file was moved, replaced or deleted.
        """
        with self._opening:
            if self._files is None:
                self._first = connect(self.path)
                self._first.execute("SELECT 1 FROM sqlite_schema").fetchone()  # SQLite opens the log when it reads
                self._files = OpenFiles(self.path)
        self.check_files()
        connection = _open(self.path, busy_timeout_s, self._cache_mb)
        try:
            self.check_files()
        except StorageError:
            connection.close()
            raise
        return connection

    def check_files(self) -> None:
        """Check that the open files are still those at their paths.

        Raises:
            StorageError: a file was moved, replaced or deleted; writes to it may be lost.
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
        answer: Any = None  # the first step of a generator takes no value
        while True:
            try:
                statement, arguments = program.send(answer)
            except StopIteration as end:
                result: T = end.value
                break
            answer = statement.sqlite(cursor, arguments)
        # Statements take microseconds and run on the event loop. The sync is slow and runs in a thread. Measured faster
        # than the whole batch in a thread, which waits for the interpreter lock at every statement.
        await asyncio.get_running_loop().run_in_executor(self._commits, self._commit, self._writer)
        return result

    def _commit(self, writer: Any) -> None:
        writer.commit()
        # Before the senders get a response. Measured: about 0.5 % of the time of a batch of 64.
        self.check_files()

    async def _begin(self) -> None:
        # Another process may be writing. SQLite's busy timeout would block the event loop, so this loop waits instead.
        for _ in range(int(BUSY_TIMEOUT_S / _MESSAGES_PAUSE_S)):
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except driver.OperationalError as error:
                if not is_busy(error):
                    raise
                await asyncio.sleep(_MESSAGES_PAUSE_S)
            else:
                return
        raise StorageError("another process holds the database's write lock")

    def _roll_back(self) -> None:
        """Roll back by closing the connection; the next batch opens a new one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()  # rolls back the open transaction

    def is_lost_race(self, error: BaseException | None) -> bool:  # noqa: ARG002 - one writer has no races
        return False

    def is_failure(self, error: BaseException | None) -> bool:
        # SQLITE_ERROR is an error in a statement. A full disk, a held lock and a missing file have other codes.
        if isinstance(error, driver.OperationalError):
            return bool(error.sqlite_errorcode != _SQLITE_ERROR)
        # DatabaseError: a damaged file. OSError: a file or folder that cannot be opened.
        return type(error) is driver.DatabaseError or isinstance(error, OSError)

    async def close(self) -> None:
        self._roll_back()
        self._commits.shutdown()
        self.engine.dispose()

    def _new_engine(self) -> Engine:
        def connected() -> Any:
            connection = self.connect()
            # Also overwrite pages that become free. The hot path frees none and skips this check.
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
    """Whether this driver error means that another connection holds a lock."""
    return isinstance(error, driver.OperationalError) and error.sqlite_errorcode & 0xFF == _SQLITE_BUSY


def connect(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Any:
    """Open a connection to the file, with the pragmas of every connection.

    Args:
        path: the file; created with mode 0600 if missing.
        busy_timeout_s: maximum time that a statement waits for another writer.

    Returns:
        A driver connection in autocommit mode.

    Raises:
        StorageError: the file was moved or deleted while it was in use.
        OSError: the file or its folder is not accessible.
    """
    create_if_absent(path)
    if not os.access(path, os.R_OK | os.W_OK):
        # SQLite's own error does not name the file.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return _open(path, busy_timeout_s, CACHE_MB)


def _open(path: Path, busy_timeout_s: float, cache_mb: int) -> Any:
    # mode=rw never creates a file.
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"
    connection = driver.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    for pragma in (*PRAGMAS, f"cache_size = -{cache_mb * 1024}"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin_to_write(tx: Connection) -> None:
    # SQLite's busy handler soon polls only every 100 ms. If a server writes batch after batch on a slow disk, the lock
    # is free for a few hundred microseconds at a time, and most waits with that handler failed.
    until_s = time.monotonic() + BUSY_TIMEOUT_S
    connection: Any = tx.connection.driver_connection
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                # The driver starts its own transactions too late: of two readers that then write, one update is lost.
                tx.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if error.orig is None or not is_busy(error.orig) or time.monotonic() > until_s:
                    raise
                time.sleep(BUSY_PAUSE_S)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1_000)}")
