"""Connection poolers in front of PostgreSQL, such as pgbouncer.

In transaction mode a pooler gives each transaction another session of the server. What belongs to a session is lost,
or comes to another client: prepared statements, settings, ``LISTEN``, session locks. So a pooler is only used where
``SHOPBELL_DATABASE_DIRECT_URL`` names an address for what needs a session. Without it every connection is checked.

PostgreSQL tells each client the process id of its session (``BackendKeyData``). A pooler makes up its own number, which
differs from ``pg_backend_pid()``.
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Dialect, text

from shopbell.errors import CommandError, StorageError
from shopbell.storage.failures import storage_failure

if TYPE_CHECKING:
    from shopbell.storage.postgres import PostgresDatabase

_PID = "SELECT pg_backend_pid()"
# On an idle pooler the first round tells; on a busy one another client may be quicker.
_ROUNDS = 10

Session = psycopg.Connection[tuple[Any, ...]]


class PoolerError(StorageError):
    """The database's address leads through a connection pooler, and the settings name no direct one."""

    def __init__(self) -> None:
        super().__init__(
            "SHOPBELL_DATABASE_URL leads through a connection pooler such as pgbouncer; set "
            "SHOPBELL_DATABASE_DIRECT_URL to the address of PostgreSQL itself, too"
        )


def as_options(settings: Mapping[str, str]) -> str:
    """Write the settings of a session as libpq's parameter ``options``."""
    escaped = {name: value.replace(" ", r"\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def as_statements(settings: Mapping[str, str]) -> str:
    """Write settings as statements that hold until the transaction ends."""
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())


def connect_without(dialect: Dialect, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> Any:
    """Make a connection with a session, on SQLAlchemy's event ``do_connect``.

    Raises:
        PoolerError: it leads through a pooler.
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


async def connect_async(conninfo: str, *, is_pooled: bool) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """Make a connection that prepares every statement, or none where it leads through a pooler.

    Args:
        conninfo: in libpq's form.
        is_pooled: whether it may lead through a pooler.

    Raises:
        PoolerError: it leads through a pooler, and must not.
        psycopg.OperationalError: the database is not to be reached.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(
            # 0 means at the first execution, None never.
            conninfo,
            autocommit=True,
            prepare_threshold=None if is_pooled else 0,
        )
    except psycopg.OperationalError as error:
        raise (PoolerError() if _refuses_settings(error) and not is_pooled else error) from None
    if is_pooled:
        await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        return connection
    row = await (await connection.execute(_PID, prepare=False)).fetchone()
    if row != (connection.info.backend_pid,):
        await connection.close()
        raise PoolerError
    return connection


def connect_session(database: "PostgresDatabase") -> Session:
    """Open a connection for what needs a session.

    Raises:
        PoolerError: it leads through a pooler, and the settings name no direct address.
        StorageError: the database is not to be reached.
    """
    try:
        session = psycopg.connect(database.conninfo, autocommit=True, prepare_threshold=None)
        if database.is_pooled or not _is_pooled(session):
            return session
        session.close()
    except psycopg.OperationalError as error:
        if database.is_pooled or not _refuses_settings(error):
            whose = "SHOPBELL_DATABASE_DIRECT_URL: " if database.is_pooled else ""
            raise StorageError(f"{whose}{storage_failure(error)}") from None
    raise PoolerError


def check_session(database: "PostgresDatabase") -> None:
    """Check that the direct address keeps sessions, and leads to the same database as the pooler.

    Without a direct address there is nothing more to check: each connection is checked when it is made.

    Raises:
        CommandError: it does not; the text says what to do.
        StorageError: the database is not to be reached.
    """
    if not database.is_pooled:
        return
    try:
        with connect_session(database) as session:
            if _is_pooled(session) and not _keeps_session(database, session):
                raise CommandError(
                    "SHOPBELL_DATABASE_DIRECT_URL leads through a connection pooler that keeps no sessions; name the "
                    "address of PostgreSQL itself"
                )
            key = secrets.randbits(62)
            session.execute("SELECT pg_advisory_lock(%s)", (key,))
            is_free = database.read_now(_is_free, key)
            session.execute("SELECT pg_advisory_unlock(%s)", (key,))
    except psycopg.OperationalError as error:
        raise storage_failure(error) from None
    if is_free:
        raise CommandError(
            "SHOPBELL_DATABASE_URL and SHOPBELL_DATABASE_DIRECT_URL lead to different databases; let both name one"
        )


def leads_through_pooler(tx: Connection) -> bool:
    """Whether there is a pooler between this connection and PostgreSQL."""
    session: Any = tx.connection.driver_connection
    return _is_pooled(session)


def _is_free(tx: Connection, key: int) -> bool:
    """Whether the lock is free; each database has locks of its own."""
    is_free: bool = tx.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}).scalar_one()
    return is_free


def _refuses_settings(error: psycopg.OperationalError) -> bool:
    """Whether a pooler refused the settings of a session; PostgreSQL has other words for one it does not know."""
    return "unsupported startup parameter" in str(error)


def _is_pooled(connection: Session) -> bool:
    return _pid(connection) != connection.info.backend_pid


def _keeps_session(database: "PostgresDatabase", session: Session) -> bool:
    """Whether a pooler lets a client keep its session between transactions."""
    with connect_session(database) as other:
        for _ in range(_ROUNDS):
            pid = _pid(session)
            with other.transaction():
                # A session that is kept belongs to one client, and stays the same.
                if _pid(other) == pid or _pid(session) != pid:
                    return False
    return True


def _pid(connection: Session) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None  # noqa: S101 - a function's value is always a row
    pid: int = row[0]
    return pid
