"""Create, lock and watch the files of a SQLite database.

A process that closes any descriptor of a file loses all its POSIX locks on that file, including SQLite's. Another
program then assumes that it is the last user of the database and deletes the log, while this process continues to write
to the deleted file. So only SQLite opens these files. ``stat`` does not open them.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from shopbell.errors import StorageError
from shopbell.security.files import make_private_folder

_LOCK_TRIES = 100
_LOCK_PAUSE_S = 0.005

_Identity = tuple[int, int]


def files_of(database: Path) -> tuple[Path, Path, Path]:
    """Return the paths of the database, its write-ahead log and the log's index."""
    # If the database is a symbolic link, SQLite puts the other files next to its target.
    target = os.path.realpath(database)
    return database, Path(f"{target}-wal"), Path(f"{target}-shm")


def lock_file(database: Path) -> Path:
    """Return the path of the file that servers, restores and database creation lock."""
    return database.with_name(f"{database.name}.lock")


def open_lock_file(database: Path) -> int:
    """Open the lock file, create it and its folder if missing, and return its descriptor."""
    make_private_folder(database.parent)
    return os.open(lock_file(database), os.O_RDWR | os.O_CREAT, 0o600)


def try_to_lock(descriptor: int, kind: int) -> bool:
    """Try for half a second to lock the lock file, because creation holds it briefly.

    Args:
        descriptor: the open lock file.
        kind: ``fcntl.LOCK_SH`` or ``fcntl.LOCK_EX``.

    Returns:
        Whether this process now holds the lock.
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
    """Create an empty database file with mode 0600 if none exists.

    Raises:
        StorageError: the file was moved or deleted while it was in use.
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
        # SQLite gives the log the mode of the database. O_EXCL never opens an existing file. Closing the new file drops
        # no locks: while the lock file is locked, nothing opens a connection to it.
        with suppress(FileExistsError):
            os.close(os.open(os.path.realpath(database), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        os.close(lock)


def missing_reason(database: Path) -> str | None:
    """Return why a missing database must not be created; None if it may be."""
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
    # SQLite deletes a log that it finds next to an empty database.
    if log.exists() and log.stat().st_size:
        return f"{database} is missing, but its log {log} exists and may contain messages; put the database back"
    if is_in_use:
        return f"{database} is missing, but a server, worker or restore is using it; put it back"
    return None


class OpenFiles:
    """Detect that open database files were moved, replaced or deleted.

    Args:
        database: a database from which at least one connection has read. That connection must stay open while this
            object is in use, so that SQLite keeps the files.
    """

    def __init__(self, database: Path) -> None:
        paths = [str(path) for path in files_of(database)]
        # On a file system that does not support a write-ahead log, SQLite works without one.
        self._opened = [(path, opened) for path in paths if (opened := _identity(path)) is not None]

    def check(self) -> None:
        """Check that each path still leads to the opened file.

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
        found = os.stat(path)  # noqa: PTH116 - three calls per commit; pathlib costs more than the call
    except OSError:
        return None
    return found.st_dev, found.st_ino
