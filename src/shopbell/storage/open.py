"""Open the database that the settings name."""

from shopbell.errors import CommandError
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.storage.migrate import State, migrate, state
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.sqlite import SqliteDatabase


def connect_database(settings: Settings) -> Database:
    """The database as it is, whatever its state; nothing is opened yet."""
    if settings.is_sqlite:
        return SqliteDatabase(settings.sqlite_path)
    return PostgresDatabase(settings.url, settings.direct_url)


def open_database(settings: Settings, *, create: bool = True) -> Database:
    """Open the database, ready for this version.

    Args:
        settings: name the database.
        create: whether an absent file is created, and an empty database is given its tables.

    Raises:
        CommandError: it is older or newer than this version, or there is none and it must not be created; the text
            says what to do.
        StorageError: it is not to be reached.
    """
    if not create:
        require_file(settings)
    database = connect_database(settings)
    try:
        _make_ready(database, create=create)
    except BaseException:
        database.engine.dispose()
        raise
    return database


def require_file(settings: Settings) -> None:
    """Check that the file of an SQLite database is there.

    Raises:
        CommandError: it is not; the text says where it was looked for.
    """
    if settings.is_sqlite and not settings.sqlite_path.exists():
        raise CommandError(
            f"there is no database {settings.sqlite_path}; run this in the folder in which `shopbell serve` runs, or "
            "set SHOPBELL_DATABASE_URL"
        )


def _make_ready(database: Database, *, create: bool) -> None:
    found = database.read_now(state)
    if found is State.EMPTY and create:
        migrate(database)
    elif found is State.EMPTY:
        raise CommandError(
            f"there is nothing in the database {_name(database)} yet; look at SHOPBELL_DATABASE_URL, or run "
            "`shopbell migrate`"
        )
    elif found is State.OLDER:
        raise CommandError("this database is older than this version; make a backup, then run `shopbell migrate`")
    elif found is not State.CURRENT:
        raise CommandError(
            f"this database is {found.value}; look at SHOPBELL_DATABASE_URL and at the version installed"
        )


def _name(database: Database) -> str:
    url = database.engine.url  # shown without user and password
    return (
        str(database.path) if isinstance(database, SqliteDatabase) else f"'{url.database}' on {url.host or 'localhost'}"
    )
