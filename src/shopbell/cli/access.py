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
def opened(*, create: bool = False) -> Iterator[Database]:
    """Open the database that the settings name, ready for use.

    Args:
        create: whether an absent database is created: for a command that may be an installation's first.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database is older or newer than this version, or there is none.
        StorageError: the database is not to be reached.
    """
    from shopbell.storage.open import open_database  # here, so that `--help` does not wait for it

    database = open_database(settings.load(), create=create)
    try:
        yield database
    finally:
        database.engine.dispose()


def write(fn: Callable[[Connection], T], *, create: bool = False) -> T:
    """Run a command's one transaction; ``create`` is that of ``opened``."""
    with opened(create=create) as database:
        return database.write_now(fn)


def read(fn: Callable[[Connection], T]) -> T:
    """Run a command's one transaction that only reads."""
    with opened() as database:
        return database.read_now(fn)


def secret_keys(*, create: bool = False) -> Keys:
    """Load the installation's secret keys; ``create`` is that of ``opened``.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: there is no database beside which they could be.
    """
    from shopbell.storage.open import require_file

    found = settings.load()
    if not create:
        require_file(found)
    return keys.load(found)
