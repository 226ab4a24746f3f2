"""Migrate a database to the schema of this version."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from shopbell.db.database import Database
from shopbell.errors import CommandError
from shopbell.runtime.optional_imports import hidden

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
"""Alembic's folder with ``env.py`` and the versions."""

_VERSION_TABLE = "alembic_version"

MIGRATION_LOCK = 7_467_262_355
"""PostgreSQL lock that lets one process migrate at a time. On SQLite the write transaction does."""


class State(Enum):
    """How the schema of a database compares to this version of Shopbell."""

    EMPTY = "empty"
    OLDER = "older than this version"
    CURRENT = "current"
    NEWER = "newer than this version"
    FOREIGN = "not a Shopbell database"


def state(tx: Connection) -> State:
    """Compare the schema of a database with this version."""
    tables = inspect(tx).get_table_names()
    if _VERSION_TABLE not in tables:
        return State.FOREIGN if tables else State.EMPTY
    revision = revision_of(tx)
    if revision is None:  # another program's table; Shopbell's is never empty
        return State.FOREIGN
    known = revisions()
    if revision == known[-1]:
        return State.CURRENT
    return State.OLDER if revision in known else State.NEWER


def revision_of(tx: Connection) -> str | None:
    """Return the schema revision of a Shopbell database; None if its version table is empty."""
    # Without Alembic: its import takes longer than the rest of most commands.
    revision: str | None = tx.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar_one_or_none()
    return revision


def migrate(database: Database) -> State:
    """Migrate the database to this version in one transaction.

    Returns:
        The state before the migration.

    Raises:
        CommandError: the database is newer than this version or not a Shopbell database.
        StorageError: the database failed.
    """
    return database.write_now(_migrate)


def _migrate(tx: Connection) -> State:
    if tx.dialect.name == "postgresql":
        # Wait without limit for another process that migrates.
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        tx.execute(text("SET LOCAL lock_timeout = 0"))
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        # Fail rather than make the requests of a running server wait for a table lock.
        tx.execute(text("SET LOCAL lock_timeout = '4s'"))
    before = state(tx)
    if before in (State.NEWER, State.FOREIGN):
        raise CommandError(f"the database is {before.value}; nothing was changed")
    if before is not State.CURRENT:
        upgrade(tx)
    return before


def upgrade(tx: Connection) -> "Config":
    """Run all migrations that are missing; return Alembic's configuration."""
    # If Mako, a part of Alembic, finds Pygments, it imports it for pages of HTML: 5 MB in a server that creates its
    # database.
    with hidden("pygments"):
        from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = tx
    command.upgrade(config, "head")
    return config


def revisions() -> list[str]:
    """List all revisions in order, from file names such as ``v0001_first.py``."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py"))
