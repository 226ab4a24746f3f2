"""Move an installation from SQLite to PostgreSQL: every row, with its id.

One transaction on the target covers everything, from the check that it is empty to the comparison at the end. So an
interrupted move leaves nothing and can run again; a completed move is recognized by its rows. The source is only read.
After the move its deliveries are paused, so that two installations do not deliver the same events.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
import psycopg
from sqlalchemy import Connection, Table, delete, func, select, text

from shopbell.db import installation
from shopbell.db.connect import require_file
from shopbell.db.database import Database
from shopbell.db.failures import PoolerError, storage_failure
from shopbell.db.installation import PauseReason
from shopbell.db.instance_lock import exclusive_lock
from shopbell.db.migrate import State, migrate, state
from shopbell.db.postgres import PostgresDatabase
from shopbell.db.schema.core import installation as context
from shopbell.db.schema.core import metadata
from shopbell.db.sqlite import SqliteDatabase
from shopbell.errors import CommandError
from shopbell.security import keys
from shopbell.security.keys import Keys
from shopbell.settings.database_urls import parse_database_url
from shopbell.settings.settings import Settings

_PAGE = 1_000
_DIGEST_BYTES = 16

Progress = Callable[[str, int, int], None]
"""Called with the current step, the rows done, and all rows of the step."""


@dataclass(slots=True)
class Content:
    """The number of rows of a table, and a checksum that does not depend on their order."""

    rows: int = 0
    checksum: int = 0

    def add(self, row: Sequence[Any]) -> None:
        """Add a row."""
        digest = hashlib.blake2b(orjson.dumps(list(row)), digest_size=_DIGEST_BYTES).digest()
        self.rows += 1
        self.checksum = (self.checksum + int.from_bytes(digest)) % (1 << 8 * _DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of a move.

    Args:
        already: whether an earlier move had completed.
        rows: the number of rows of each table.
        attachments: the value for ``attachments_url`` that reaches the attachments in their old place; None if the
            setting is already set.
    """

    already: bool
    rows: dict[str, int] = field(default_factory=dict)
    attachments: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the result for ``--json``."""
        return {"moved": True, "already": self.already, "rows": self.rows, "attachmentsUrl": self.attachments}


def tables() -> list[Table]:
    """List all tables; each follows the tables to which it refers."""
    return list(metadata.sorted_tables)


def move(settings: Settings, target_url: str, on_progress: Progress) -> Moved:
    """Move the installation from the configured SQLite database to PostgreSQL.

    Args:
        target_url: URL of an empty PostgreSQL database.

    Raises:
        CommandError: there is nothing to move; the source has another version or secret key; the target is not empty or
            behind a connection pooler; a server is running on either; or PostgreSQL cannot store a row. The target is
            unchanged.
        StorageError: a database failed; the move can run again.
    """
    if not settings.is_sqlite:
        raise CommandError("SHOPBELL_DATABASE_URL is already a PostgreSQL database; a move starts from SQLite")
    require_file(settings)
    source, target = SqliteDatabase(settings.sqlite_path), _target(target_url)
    try:
        if source.read_now(state) is not State.CURRENT:
            raise CommandError("the SQLite database is not at this version; make a backup, then run `shopbell migrate`")
        with exclusive_lock(source), exclusive_lock(target):
            if target.read_now(state) not in (State.EMPTY, State.CURRENT, State.OLDER):
                raise CommandError("the target is not a Shopbell database; use an empty database")
            secrets = _secret_keys(settings)
            migrate(target)
            moved = source.read_now(lambda reading: _move(reading, target, settings, secrets, on_progress))
            source.write_now(installation.pause_deliveries, PauseReason.MOVED)
            return moved
    except PoolerError:
        raise CommandError(
            "--to goes through a connection pooler; set it to the address of PostgreSQL itself"
        ) from None
    finally:
        source.engine.dispose()
        target.engine.dispose()


def _target(url: str) -> PostgresDatabase:
    try:
        parsed = parse_database_url(url)
    except ValueError:
        raise CommandError("--to must look like postgresql://user@host/name") from None
    if parsed.get_backend_name() != "postgresql":
        raise CommandError("--to must start with postgresql:")
    return PostgresDatabase(parsed)


def _secret_keys(settings: Settings) -> Keys:
    if settings.secret_key is None and not keys.key_file(settings).exists():
        raise CommandError(
            f"the secret key is missing: neither SHOPBELL_SECRET_KEY nor {keys.key_file(settings)} exists; "
            "without it no API token works"
        )
    return keys.load(settings)


def _move(reading: Connection, target: Database, settings: Settings, secrets: Keys, on_progress: Progress) -> Moved:
    if not installation.key_matches(reading, secrets):
        raise CommandError("the secret key does not belong to the SQLite database; set SHOPBELL_SECRET_KEY to its key")
    copied = target.write_now(lambda writing: _copy(reading, writing, secrets, on_progress))
    already = copied is None
    rows = {str(table.name): _count(reading, table) for table in tables()}
    return Moved(already, rows, None if settings.attachments_url else _attachments(settings))


def _attachments(settings: Settings) -> str:
    return f"file://{quote(str(settings.sqlite_path.with_name('attachments')))}"


def _copy(reading: Connection, writing: Connection, secrets: Keys, on_progress: Progress) -> dict[str, Content] | None:
    """Copy all rows and compare the copies; None if the target already has them."""
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        writing.execute(text(f"SET LOCAL {name} = 0"))
    # Other commands must not write to the tables during the copy.
    names = ", ".join(table.name for table in tables())
    writing.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
    if not installation.key_matches(writing, secrets):
        raise CommandError("the target was used with another secret key; use an empty database")
    filled = [table for table in tables() if table is not context and _is_filled(writing, table)]
    if filled:
        # Without the installation table: the source has an additional row since the move.
        copied = (table for table in tables() if table is not context)
        if all(_read(reading, table, on_progress) == _read(writing, table, on_progress) for table in copied):
            return None
        raise CommandError(
            f"the target already contains an installation (there are rows in {filled[0].name}); nothing was changed"
        )
    # A server that ran on the empty target has only stored the fingerprint of the same key.
    writing.execute(delete(context))
    contents = {table.name: _copy_table(reading, writing, table, on_progress) for table in tables()}
    for table in tables():
        if _read(writing, table, on_progress) != contents[table.name]:
            raise CommandError(f"the copy of {table.name} differs from the source; nothing was changed")
    if installation.pause_reason(reading) is PauseReason.MOVED:  # paused by an earlier move to another database
        installation.resume_deliveries(writing)
    # Not with setval(), which a rollback does not undo.
    next_id = int(reading.execute(text("SELECT next_id FROM ids")).scalar_one())
    writing.execute(text(f"ALTER SEQUENCE ids RESTART WITH {next_id}"))
    for table in tables():
        # Without statistics PostgreSQL would plan for empty tables.
        writing.execute(text(f"ANALYZE {table.name}"))
    return contents


def _is_filled(tx: Connection, table: Table) -> bool:
    return tx.execute(select(1).select_from(table).limit(1)).first() is not None


def _count(tx: Connection, table: Table) -> int:
    count: int = tx.execute(select(func.count()).select_from(table)).scalar_one()
    return count


def _rows(tx: Connection, table: Table, doing: str, on_progress: Progress) -> Iterator[Sequence[Any]]:
    """Yield all rows of a table, with a few in memory at a time."""
    total, done = _count(tx, table), 0
    on_progress(doing, 0, total)
    for page in tx.execute(select(table), execution_options={"yield_per": _PAGE}).partitions():
        yield from page
        done += len(page)
        on_progress(doing, done, total)


def _read(tx: Connection, table: Table, on_progress: Progress) -> Content:
    content = Content()
    for row in _rows(tx, table, f"comparing {table.name}", on_progress):
        content.add(row)
    return content


def _copy_table(reading: Connection, writing: Connection, table: Table, on_progress: Progress) -> Content:
    content = Content()
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    driver: Any = writing.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
            for row in _rows(reading, table, f"copying {table.name}", on_progress):
                content.add(row)
                copy.write_row(row)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # Its text would quote the row.
        raise CommandError(
            f"PostgreSQL cannot store a row of {table.name} ({type(error).__name__}); nothing was changed"
        ) from None
    except psycopg.Error as error:
        raise storage_failure(error) from None
    return content
