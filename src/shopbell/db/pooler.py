"""Connect to PostgreSQL, with or without a connection pooler such as PgBouncer.

In transaction mode, a pooler may run each transaction in a different server session. Session state (prepared
statements, settings, ``LISTEN``, session locks) is then lost or leaks to another client. So Shopbell accepts a pooler
only if ``SHOPBELL_DATABASE_DIRECT_URL`` names an address for work that needs a session. Without that setting, it checks
that no connection goes through a pooler.

The check: PostgreSQL tells each client the process id of its session (``BackendKeyData``). A pooler sends a number of
its own, which differs from ``pg_backend_pid()``.
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Dialect, text

from shopbell.db.failures import PoolerError, storage_failure
from shopbell.db.hot_connection import HotConnection
from shopbell.errors import CommandError, StorageError

if TYPE_CHECKING:
    from shopbell.db.postgres import PostgresDatabase

_PID = "SELECT pg_backend_pid()"
# An idle pooler shows in the first round. On a busy one, other clients may hide it for some rounds.
_ROUNDS = 10

Session = psycopg.Connection[tuple[Any, ...]]


def as_options(settings: Mapping[str, str]) -> str:
    """Format session settings as libpq's ``options`` parameter."""
    escaped = {name: value.replace(" ", r"\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def as_statements(settings: Mapping[str, str]) -> str:
    """Format settings as statements that apply until the transaction ends."""
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())


def connect_directly(dialect: Dialect, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> Any:
    """Open a connection without a pooler; handles SQLAlchemy's event ``do_connect``.

    Raises:
        PoolerError: the connection goes through a pooler.
    """
    try:
        connection: Any = dialect.connect(*arguments, **parameters)
    except psycopg.OperationalError as error:
        raise (PoolerError() if _refuses_settings(error) else error) from None
    connection.autocommit = True
    if _is_pooled(connection):
        connection.close()
        raise PoolerError
    connection.autocommit = False
    return connection


async def connect_async(conninfo: str, *, is_pooled: bool) -> HotConnection:
    """Open a connection that prepares every statement; none if pooled.

    Args:
        conninfo: a libpq connection string.
        is_pooled: whether the connection may go through a pooler.

    Raises:
        PoolerError: the connection goes through a pooler, but ``is_pooled`` is false.
        psycopg.OperationalError: the database is not reachable.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise (PoolerError() if _refuses_settings(error) and not is_pooled else error) from None
    if not is_pooled:
        row = await (await connection.execute(_PID)).fetchone()
        if row != (connection.info.backend_pid,):
            await connection.close()
            raise PoolerError
    # Through a pooler, the next execution of a prepared statement may run in another session, which does not know it.
    return HotConnection(connection, prepares=not is_pooled)


def connect_session(database: "PostgresDatabase") -> Session:
    """Open a connection for work that needs a session.

    Raises:
        PoolerError: the connection goes through a pooler and no direct URL is set.
        StorageError: the database is not reachable.
    """
    try:
        session = psycopg.connect(database.conninfo, autocommit=True, prepare_threshold=None)
        if database.is_pooled or not _is_pooled(session):
            return session
        session.close()
    except psycopg.OperationalError as error:
        if database.is_pooled or not _refuses_settings(error):
            prefix = "SHOPBELL_DATABASE_DIRECT_URL: " if database.is_pooled else ""
            raise StorageError(f"{prefix}{storage_failure(error)}") from None
    raise PoolerError


def check_session(database: "PostgresDatabase") -> None:
    """Check that the direct URL keeps sessions and reaches the pooler's database.

    Without a direct URL this does nothing: each connection is checked when it is opened.

    Raises:
        CommandError: the check failed; the message says what to do.
        StorageError: the database is not reachable.
    """
    if not database.is_pooled:
        return
    try:
        with connect_session(database) as session:
            if _is_pooled(session) and not _keeps_session(database, session):
                raise CommandError(
                    "SHOPBELL_DATABASE_DIRECT_URL goes through a connection pooler that keeps no sessions; set it to "
                    "the address of PostgreSQL itself"
                )
            key = secrets.randbits(62)
            session.execute("SELECT pg_advisory_lock(%s)", (key,))
            is_free = database.read_now(_is_free, key)
            session.execute("SELECT pg_advisory_unlock(%s)", (key,))
    except psycopg.OperationalError as error:
        raise storage_failure(error) from None
    if is_free:
        raise CommandError(
            "SHOPBELL_DATABASE_URL and SHOPBELL_DATABASE_DIRECT_URL reach different databases; set both to the same one"
        )


def leads_through_pooler(tx: Connection) -> bool:
    """Whether this connection goes through a pooler."""
    session: Any = tx.connection.driver_connection
    return _is_pooled(session)


def _is_free(tx: Connection, key: int) -> bool:
    """Whether the lock is free in this connection's database; each database has its own locks."""
    is_free: bool = tx.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}).scalar_one()
    return is_free


def _refuses_settings(error: psycopg.OperationalError) -> bool:
    """Whether a pooler rejected session settings; PostgreSQL words such an error differently."""
    return "unsupported startup parameter" in str(error)


def _is_pooled(connection: Session) -> bool:
    return _pid(connection) != connection.info.backend_pid


def _keeps_session(database: "PostgresDatabase", session: Session) -> bool:
    """Whether the pooler lets a client keep its session between transactions."""
    with connect_session(database) as other:
        for _ in range(_ROUNDS):
            pid = _pid(session)
            with other.transaction():
                # A kept session belongs to one client and its process id does not change.
                if _pid(other) == pid or _pid(session) != pid:
                    return False
    return True


def _pid(connection: Session) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None  # noqa: S101 - the query always returns a row
    pid: int = row[0]
    return pid
