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


def open_database(settings: Settings) -> Database:
    """The database, ready for this version: an empty one is given its tables.

    Raises:
        CommandError: it is older or newer than this version; the text says what to do.
        StorageError: it is not to be reached.
    """
    database = connect_database(settings)
    try:
        _make_ready(database)
    except BaseException:
        database.engine.dispose()
        raise
    return database


def _make_ready(database: Database) -> None:
    found = database.read_now(state)
    if found is State.EMPTY:
        migrate(database)
    elif found is State.OLDER:
        raise CommandError("this database is older than this version; make a backup, then run `shopbell migrate`")
    elif found is not State.CURRENT:
        raise CommandError(
            f"this database is {found.value}; look at SHOPBELL_DATABASE_URL and at the version installed"
        )
