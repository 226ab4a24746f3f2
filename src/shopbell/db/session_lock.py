"""Lock a PostgreSQL database, for ``instance_lock.py``.

The lock belongs to a connection.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event
from typing import NoReturn

import psycopg
import structlog

from shopbell.db.pooler import Session, check_session, connect_session
from shopbell.db.postgres import PostgresDatabase
from shopbell.errors import CommandError, StorageError
from shopbell.runtime.log_output import output
from shopbell.runtime.supervision import supervise_thread

_LOCK = 7_467_262_356
_CHECK_EVERY_S = 2.0

log = structlog.get_logger()


@contextmanager
def shared_session_lock(database: PostgresDatabase, otherwise: str) -> Iterator[None]:
    """Hold the shared lock until the block ends.

    Raises CommandError with the text ``otherwise`` if another process holds the exclusive lock. If the connection
    breaks, a thread acquires the lock again. If another process has taken the exclusive lock by then, this process ends
    at once: a restore would lose what it writes.
    """
    check_session(database)
    connection = connect_session(database)
    _acquire(connection, "pg_try_advisory_lock_shared", otherwise)
    ended = Event()
    keeper = supervise_thread("database lock", partial(_keep_alive, database, connection, ended, otherwise))
    try:
        yield
    finally:
        ended.set()
        keeper.join()


@contextmanager
def exclusive_session_lock(database: PostgresDatabase, otherwise: str) -> Iterator[None]:
    """Hold the exclusive lock until the block ends.

    Raises CommandError with the text ``otherwise`` if another process holds either lock.
    """
    check_session(database)
    with connect_session(database) as connection:
        _acquire(connection, "pg_try_advisory_lock", otherwise)
        try:
            yield
        finally:
            _release(connection)


def _acquire(connection: Session, function: str, otherwise: str) -> None:
    row = connection.execute(f"SELECT {function}(%s)", (_LOCK,)).fetchone()
    if row != (True,):
        connection.close()
        raise CommandError(otherwise)


def _release(connection: Session) -> None:
    # PostgreSQL notices a closed connection only after a moment; an explicit unlock frees the lock at once.
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")


def _keep_alive(database: PostgresDatabase, connection: Session | None, ended: Event, otherwise: str) -> None:
    """Check the lock's connection every 2 s; reconnect and lock again if it broke."""
    while not ended.wait(_CHECK_EVERY_S):
        try:
            if connection is None:
                connection = connect_session(database)
                _acquire(connection, "pg_try_advisory_lock_shared", otherwise)
            connection.execute("SELECT 1")
        except CommandError as error:
            _end_process(str(error))
        except (psycopg.Error, StorageError):
            if connection is not None:
                with suppress(psycopg.Error):
                    connection.close()
            connection = None
    if connection is not None:
        _release(connection)
        connection.close()


def _end_process(reason: str) -> NoReturn:
    """End without finishing what is under way, which would write to the database."""
    try:
        log.error("lost the lock of the database, ending", reason=reason)
        output().drain()
    finally:
        os._exit(1)
