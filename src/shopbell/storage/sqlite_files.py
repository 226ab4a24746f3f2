"""The files of a SQLite database: created once, then only watched.

When a process closes any descriptor of a file, it loses all POSIX locks that it has on that file, SQLite's own
included. Another program then believes that it is the last user of the database and deletes the log, and this process
continues to write into a deleted file. So SQLite alone opens these files. `stat` opens nothing.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from shopbell.errors import StorageError
from shopbell.private_files import make_private_folder

_LOCK_TRIES = 100
_LOCK_PAUSE_S = 0.005

_Identity = tuple[int, int]


def files_of(database: Path) -> tuple[Path, Path, Path]:
    """The paths of the database, its write-ahead log and the log's index."""
    # Where the database is a symbolic link, SQLite puts the others beside its target.
    target = os.path.realpath(database)
    return database, Path(f"{target}-wal"), Path(f"{target}-shm")


def lock_file(database: Path) -> Path:
    """The file that servers, restores and the creation of the database lock (``flock``)."""
    return database.with_name(f"{database.name}.lock")


def open_lock_file(database: Path) -> int:
    """Open the lock file and return its descriptor; the file and its folder are created when absent."""
    make_private_folder(database.parent)
    return os.open(lock_file(database), os.O_RDWR | os.O_CREAT, 0o600)


def try_to_lock(descriptor: int, kind: int) -> bool:
    """Try to lock the lock file for half a second: creating the database locks it for a moment.

    Args:
        descriptor: of the lock file.
        kind: ``fcntl.LOCK_SH`` or ``fcntl.LOCK_EX``.

    Returns:
        Whether it is locked now.
    """
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False


def create_if_absent(database: Path) -> None:
    """Create an empty database file with mode 0600 if there is none. Call this before the first connection.

    Raises:
        StorageError: there is none because it was moved away or deleted while it was in use.
    """
    if database.exists():
        return
    lock = open_lock_file(database)
    try:
        is_locked = try_to_lock(lock, fcntl.LOCK_EX)
        if database.exists():  # another process created it
            return
        if (reason := _reason_not_to_create(database, is_in_use=not is_locked)) is not None:
            raise StorageError(reason)
        # SQLite gives the log the mode of the database. O_EXCL never opens a file that exists. The new file has no
        # locks to lose: as long as the lock file is locked, no connection to it is opened.
        with suppress(FileExistsError):
            os.close(os.open(os.path.realpath(database), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        os.close(lock)


def missing_reason(database: Path) -> str | None:
    """Tell by which sign an absent database was in use, or None when nothing says so; changes nothing."""
    is_in_use = False
    if lock_file(database).exists():
        lock = open_lock_file(database)
        try:
            is_in_use = not try_to_lock(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)
    return _reason_not_to_create(database, is_in_use=is_in_use)


def _reason_not_to_create(database: Path, *, is_in_use: bool) -> str | None:
    log = files_of(database)[1]
    # SQLite deletes a log that it finds beside an empty database.
    if log.exists() and log.stat().st_size:
        return f"{database} is missing, but its log {log} is there and may hold messages; put the database back"
    if is_in_use:
        return f"{database} is missing, but a server, a worker or a restore uses it; put it back"
    return None


class OpenFiles:
    """The identity of the files of a database that this process has open.

    Args:
        database: a database from which at least one connection has read. It stays open while this object is used, so
            that SQLite keeps the files.
    """

    def __init__(self, database: Path) -> None:
        paths = [str(path) for path in files_of(database)]
        # Where a file system cannot have a log, SQLite works without one.
        self._opened = [(path, opened) for path in paths if (opened := _identity(path)) is not None]

    def check(self) -> None:
        """Check that each file is still the one that was opened.

        Raises:
            StorageError: a file was moved, replaced or deleted.
        """
        for path, opened in self._opened:
            if _identity(path) != opened:
                raise StorageError(
                    f"{path} was moved, replaced or deleted; put it back, or stop Shopbell with SIGTERM and start it "
                    "again"
                )


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - three for each commit, and pathlib costs more than the call
    except OSError:
        return None
    return found.st_dev, found.st_ino
