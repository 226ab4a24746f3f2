"""Open the database that the settings name."""

from shopbell.db.database import Database
from shopbell.db.migrate import State, migrate, state
from shopbell.errors import CommandError
from shopbell.settings.settings import Settings


def connect_database(settings: Settings) -> Database:
    """Return the database in any state, without opening a connection."""
    # A process uses one engine: the driver of the other takes 10 MB.
    if settings.is_sqlite:
        from shopbell.db.sqlite import SqliteDatabase

        return SqliteDatabase(settings.sqlite_path, cache_mb=settings.sqlite_cache_mb)
    from shopbell.db.postgres import PostgresDatabase

    return PostgresDatabase(settings.url, settings.direct_url)


def open_database(settings: Settings, *, create: bool = True) -> Database:
    """Open the database and check that this version can use it.

    Args:
        settings: contain the database URL.
        create: whether to create a missing SQLite file and the tables of an empty database.

    Raises:
        CommandError: the schema is older or newer than this version, or the database does not exist and ``create`` is
            false; the message says what to do.
        StorageError: the database is not reachable.
    """
    if not create:
        require_file(settings)
    database = connect_database(settings)
    make_ready(database, create=create)
    return database


def require_file(settings: Settings) -> None:
    """Check that the file of a SQLite database exists.

    Raises:
        CommandError: it does not exist; the message contains its path.
    """
    if settings.is_sqlite and not settings.sqlite_path.exists():
        raise CommandError(
            f"database {settings.sqlite_path} does not exist; run this command in the working directory of "
            "`shopbell serve`, or set SHOPBELL_DATABASE_URL"
        )


def make_ready(database: Database, *, create: bool = True) -> None:
    """Check that this version can use the database; close it if not.

    Args:
        create: whether to create the tables of an empty one.

    Raises:
        CommandError: the schema is older or newer than this version, or the database is empty and ``create`` is false.
        StorageError: the database is not reachable.
    """
    try:
        _check(database, create=create)
    except BaseException:
        database.engine.dispose()
        raise


def _check(database: Database, *, create: bool) -> None:
    found = database.read_now(state)
    if found is State.EMPTY and create:
        migrate(database)
    elif found is State.EMPTY:
        raise CommandError(
            f"database {_name(database)} is empty; check SHOPBELL_DATABASE_URL, or run `shopbell migrate`"
        )
    elif found is State.OLDER:
        raise CommandError(
            "the database is older than this version of Shopbell; make a backup, then run `shopbell migrate`"
        )
    elif found is not State.CURRENT:
        raise CommandError(f"the database is {found.value}; check SHOPBELL_DATABASE_URL and the installed version")


def _name(database: Database) -> str:
    url = database.engine.url  # the name leaves out user and password
    host = url.host or url.query.get("host", "localhost")  # the query has several hosts
    return f"{url.database}" if database.conninfo is None else f"'{url.database}' on {host}"
