"""Who uses a database right now: servers hold it together, a restore takes it alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event

import psycopg

from shopbell.errors import CommandError, StorageError
from shopbell.storage.database import Database
from shopbell.storage.pooler import Session, check_session, connect_session
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.sqlite import SqliteDatabase
from shopbell.storage.sqlite_files import open_lock_file, try_to_lock
from shopbell.supervision import supervise_thread

_LOCK = 7_467_262_356
_CHECK_EVERY_S = 2.0

_RESTORE_RUNS = "a restore of this database is under way; start again when it is done"
_SERVER_RUNS = "a server runs on this database; stop it first"


@contextmanager
def hold(database: Database) -> Iterator[None]:
    """Hold a database as a server does, together with other servers, until the block ends.

    On PostgreSQL the lock lives as long as its connection: when that is lost, it is taken again.

    Raises:
        CommandError: a restore is under way.
        StorageError: the database is not to be reached.
    """
    if isinstance(database, SqliteDatabase):
        with _file_lock(database.path, fcntl.LOCK_SH, _RESTORE_RUNS):
            yield
    elif isinstance(database, PostgresDatabase):
        check_session(database)
        connection = connect_session(database)
        _take(connection, "pg_try_advisory_lock_shared", _RESTORE_RUNS)
        ended = Event()
        keeper = supervise_thread("hold the database", partial(_keep, database, connection, ended))
        try:
            yield
        finally:
            ended.set()
            keeper.join()


@contextmanager
def alone(database: Database) -> Iterator[None]:
    """Take a database for oneself, as a restore does, until the block ends.

    Raises:
        CommandError: a server runs on it.
        StorageError: the database is not to be reached.
    """
    if isinstance(database, SqliteDatabase):
        with _file_lock(database.path, fcntl.LOCK_EX, _SERVER_RUNS):
            yield
    elif isinstance(database, PostgresDatabase):
        check_session(database)
        with connect_session(database) as connection:
            _take(connection, "pg_try_advisory_lock", _SERVER_RUNS)
            try:
                yield
            finally:
                _give_back(connection)


@contextmanager
def _file_lock(database: Path, kind: int, otherwise: str) -> Iterator[None]:
    # On a file of its own: the database's file is replaced by a restore, and closing it would drop SQLite's own locks.
    lock = open_lock_file(database)
    try:
        if not try_to_lock(lock, kind):
            raise CommandError(otherwise)
        yield
    finally:
        os.close(lock)


def _take(connection: Session, function: str, otherwise: str) -> None:
    row = connection.execute(f"SELECT {function}(%s)", (_LOCK,)).fetchone()
    if row != (True,):
        connection.close()
        raise CommandError(otherwise)


def _give_back(connection: Session) -> None:
    # That a connection was closed, PostgreSQL notices a moment later. Who comes next has nobody in the way by now.
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")


def _keep(database: PostgresDatabase, connection: Session | None, ended: Event) -> None:
    """Keep the lock: look at its connection now and then, and take it again when that was lost."""
    while not ended.wait(_CHECK_EVERY_S):
        try:
            if connection is None:
                connection = connect_session(database)
                _take(connection, "pg_try_advisory_lock_shared", _RESTORE_RUNS)
            connection.execute("SELECT 1")
        except (psycopg.Error, StorageError, CommandError):
            if connection is not None:
                with suppress(psycopg.Error):
                    connection.close()
            connection = None
    if connection is not None:
        _give_back(connection)
        connection.close()
