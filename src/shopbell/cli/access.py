"""What most commands need: the settings, the database and the secret keys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from shopbell import logs
from shopbell.db import installation
from shopbell.db.connect import open_database, require_file
from shopbell.db.database import Database
from shopbell.errors import CommandError, NotFound
from shopbell.events.actors import SYSTEM
from shopbell.security import keys
from shopbell.security.keys import Keys
from shopbell.settings import settings
from shopbell.settings.settings import Settings

T = TypeVar("T")

ACTOR = SYSTEM.name
"""The actor in audit entries of what operators do with the command ``shopbell``."""


def load_settings(**given: object) -> Settings:
    """Load the settings, and log from now on as they say: to stderr, so that stdout has only the result.

    Args:
        given: settings from the command line, by field name; they override all other sources.

    Raises:
        SettingsError: a setting is wrong.
    """
    chosen = settings.load(**given)
    logs.configure(chosen)
    return chosen


@contextmanager
def opened(*, create: bool = False) -> Iterator[Database]:
    """Open the database that the settings name, ready for use.

    Args:
        create: whether to create the database if there is none, for commands that may be an installation's first.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: the database is older or newer than this version, or there is none.
        StorageError: the database cannot be reached.
    """
    database = open_database(load_settings(), create=create)
    try:
        yield database
    finally:
        database.engine.dispose()


def write(fn: Callable[[Connection], T], *, create: bool = False, keys: Keys | None = None) -> T:
    """Run a command's only transaction.

    Args:
        fn: the transaction.
        create: as for ``opened``.
        keys: the secret keys that ``fn`` uses, if any. They must be those of this database.

    Raises:
        CommandError: the database was created with other keys.
    """

    def work(tx: Connection) -> T:
        if keys is not None:
            installation.adopt_key(tx, keys)
        return fn(tx)

    with opened(create=create) as database:
        return database.write_now(work)


def read(fn: Callable[[Connection], T]) -> T:
    """Run a command's only transaction, which only reads."""
    with opened() as database:
        return database.read_now(fn)


def secret_keys(*, create: bool = False) -> Keys:
    """Load the installation's secret keys; ``create`` as for ``opened``.

    Raises:
        SettingsError: a setting is wrong.
        CommandError: there is no database that they could belong to.
    """
    found = load_settings()
    if not create:
        require_file(found)
    return keys.load(found)


@contextmanager
def not_found(text: str) -> Iterator[None]:
    """Report with this text that an object of the block does not exist.

    Raises:
        CommandError: it does not.
    """
    try:
        yield
    except NotFound:
        raise CommandError(text) from None
