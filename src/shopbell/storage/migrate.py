"""Bring a database to the shape that this version needs."""

from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from shopbell.errors import CommandError
from shopbell.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
"""Where Alembic finds its entry and the versions."""

_VERSION_TABLE = "alembic_version"

MIGRATION_LOCK = 7_467_262_355
"""PostgreSQL's lock with which one process migrates at a time. SQLite's transaction sees to that by itself."""


class State(Enum):
    """How a database stands to this version of Shopbell."""

    EMPTY = "empty"
    OLDER = "older than this version"
    CURRENT = "current"
    NEWER = "newer than this version"
    FOREIGN = "not Shopbell's"


def state(tx: Connection) -> State:
    """Tell how a database stands to this version, changing nothing."""
    tables = inspect(tx).get_table_names()
    if _VERSION_TABLE not in tables:
        return State.FOREIGN if tables else State.EMPTY
    revision = revision_of(tx)
    if revision is None:  # somebody's Alembic made the table, and Shopbell's own never leaves it empty
        return State.FOREIGN
    known = _revisions()
    if revision == known[-1]:
        return State.CURRENT
    return State.OLDER if revision in known else State.NEWER


def revision_of(tx: Connection) -> str | None:
    """The revision that a database of Shopbell's is at; ``None`` when its table of revisions is empty."""
    # Not by Alembic: importing it takes longer than all else that most commands do.
    revision: str | None = tx.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar_one_or_none()
    return revision


def migrate(database: Database) -> State:
    """Bring a database to this version's shape in one transaction: all of it happens, or nothing.

    Returns:
        The state that it was in.

    Raises:
        CommandError: the database is newer than this version, or holds something else.
        StorageError: the database failed.
    """
    return database.write_now(_migrate)


def _migrate(tx: Connection) -> State:
    if tx.dialect.name == "postgresql":
        # Another process may be at it, which takes as long as it takes.
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        tx.execute(text("SET LOCAL lock_timeout = 0"))
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        # Rather fail than make a running server's requests wait behind a table's lock.
        tx.execute(text("SET LOCAL lock_timeout = '4s'"))
    before = state(tx)
    if before in (State.NEWER, State.FOREIGN):
        raise CommandError(f"this database is {before.value}; nothing was changed")
    if before is not State.CURRENT:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
    return before


def _revisions() -> list[str]:
    """All revisions in their order: a file's name begins with its own, as in ``v0001_first.py``."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py"))
