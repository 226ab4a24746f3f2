"""Bring a database to the shape that this version needs."""

from enum import Enum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from shopbell.errors import CommandError
from shopbell.storage.database import Database

# One process migrates at a time. SQLite's transaction sees to that by itself.
_MIGRATION_LOCK = 7_467_262_355


class State(Enum):
    """How a database stands to this version of Shopbell."""

    EMPTY = "empty"
    OLDER = "older than this version"
    CURRENT = "current"
    NEWER = "newer than this version"
    FOREIGN = "not Shopbell's"


def state(tx: Connection) -> State:
    """Tell how a database stands to this version, changing nothing."""
    revision = revision_of(tx)
    if revision is None:
        return State.FOREIGN if inspect(tx).get_table_names() else State.EMPTY
    scripts = ScriptDirectory.from_config(_config())
    if revision == scripts.get_current_head():
        return State.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return State.OLDER if revision in known else State.NEWER


def revision_of(tx: Connection) -> str | None:
    """The revision that a database is at; None when Shopbell was never there."""
    return MigrationContext.configure(tx).get_current_revision()


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
        # Rather fail than make a running server's requests wait behind a table's lock.
        tx.execute(text("SET LOCAL lock_timeout = '4s'"))
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    before = state(tx)
    if before in (State.NEWER, State.FOREIGN):
        raise CommandError(f"this database is {before.value}; nothing was changed")
    if before is not State.CURRENT:
        config = _config()
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
    return before


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
