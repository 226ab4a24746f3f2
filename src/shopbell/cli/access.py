"""What most commands need: the settings, the database, the keys, and a note of what they change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from shopbell import keys, settings
from shopbell.keys import Keys
from shopbell.storage.database import Database

T = TypeVar("T")


@contextmanager
def opened() -> Iterator[Database]:
    """The database that the settings name, ready for use.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database is older or newer than this version.
        StorageError: the database is not to be reached.
    """
    from shopbell.storage.open import open_database  # here, so that `--help` does not wait for it

    database = open_database(settings.load())
    try:
        yield database
    finally:
        database.engine.dispose()


def write(fn: Callable[[Connection], T]) -> T:
    """Run a command's one transaction."""
    with opened() as database:
        return database.write_now(fn)


def read(fn: Callable[[Connection], T]) -> T:
    """Run a command's one transaction that only reads."""
    with opened() as database:
        return database.read_now(fn)


def secret_keys() -> Keys:
    """The installation's secret keys."""
    return keys.load(settings.load())
