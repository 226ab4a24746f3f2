"""Lock a database: shared by servers, exclusive for a restore."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shopbell.db.database import Database
from shopbell.db.failures import storage_failure
from shopbell.db.sqlite_files import create_if_absent, open_lock_file, try_to_lock
from shopbell.errors import CommandError

if TYPE_CHECKING:
    from shopbell.db.postgres import PostgresDatabase
    from shopbell.db.sqlite import SqliteDatabase

_RESTORE_RUNS = "a restore of this database is running; start again when it is done"
_SERVER_RUNS = "a server is running on this database; stop it first"


def shared_lock(database: Database) -> AbstractContextManager[None]:
    """Hold the shared lock, as servers do, until the block ends.

    Creates the file of a SQLite database if there is none: while the lock is held, no process may create it.

    Raises:
        CommandError: a restore is running.
        StorageError: the database is not reachable.
    """
    if database.conninfo is None:
        try:
            create_if_absent(cast("SqliteDatabase", database).path)
        except OSError as error:
            raise storage_failure(error) from None
        return _file_lock(cast("SqliteDatabase", database).path, fcntl.LOCK_SH, _RESTORE_RUNS)
    from shopbell.db.session_lock import shared_session_lock  # imports the driver, which takes 10 MB

    return shared_session_lock(cast("PostgresDatabase", database), _RESTORE_RUNS)


def exclusive_lock(database: Database) -> AbstractContextManager[None]:
    """Hold the exclusive lock, as a restore does, until the block ends.

    Raises:
        CommandError: a server is running on the database.
        StorageError: the database is not reachable.
    """
    if database.conninfo is None:
        return _file_lock(cast("SqliteDatabase", database).path, fcntl.LOCK_EX, _SERVER_RUNS)
    from shopbell.db.session_lock import exclusive_session_lock  # as above

    return exclusive_session_lock(cast("PostgresDatabase", database), _SERVER_RUNS)


@contextmanager
def _file_lock(database: Path, kind: int, otherwise: str) -> Iterator[None]:
    # A separate file: a restore replaces the database file, and closing that file would drop SQLite's own locks.
    lock = open_lock_file(database)
    try:
        if not try_to_lock(lock, kind):
            raise CommandError(otherwise)
        yield
    finally:
        os.close(lock)
