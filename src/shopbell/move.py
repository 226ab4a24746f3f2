"""Move an installation from SQLite to PostgreSQL: every row, with its id.

All of it is one transaction of the target, from looking whether there is room to the comparison at the end. So a move
that was interrupted, at whatever moment, left nothing, and runs again from the beginning; and one that had just
finished is recognised by what it left. The source is only read, until all is there: then it is told to deliver nothing
any more, or two installations would.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
import psycopg
from sqlalchemy import Connection, Table, delete, func, select, text

from shopbell import installation, keys
from shopbell.database_urls import parse_database_url
from shopbell.errors import CommandError
from shopbell.installation import Held
from shopbell.keys import Keys
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.storage.failures import storage_failure
from shopbell.storage.migrate import State, migrate, state
from shopbell.storage.open import require_file
from shopbell.storage.pooler import PoolerError
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.running import alone
from shopbell.storage.schema import installation as facts
from shopbell.storage.schema import metadata
from shopbell.storage.sqlite import SqliteDatabase

_PAGE = 1_000
_DIGEST_BYTES = 16

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how many rows of it are done, and how many there are."""


@dataclass(slots=True)
class Content:
    """What a table holds: how many rows, and a checksum that does not depend on their order."""

    rows: int = 0
    checksum: int = 0

    def add(self, row: Sequence[Any]) -> None:
        """Count a row in."""
        digest = hashlib.blake2b(orjson.dumps(list(row)), digest_size=_DIGEST_BYTES).digest()
        self.rows += 1
        self.checksum = (self.checksum + int.from_bytes(digest)) % (1 << 8 * _DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did.

    Args:
        already: whether a move before this one had done it all.
        rows: how many rows each table has.
        attachments: where the attachments' bytes still are, as ``attachments_url`` names it; None where a setting
            says so already.
    """

    already: bool
    rows: dict[str, int] = field(default_factory=dict)
    attachments: str | None = None

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        return {"moved": True, "already": self.already, "rows": self.rows, "attachmentsUrl": self.attachments}


def tables() -> list[Table]:
    """Every table there is, those that others refer to first."""
    return list(metadata.sorted_tables)


def move(settings: Settings, target_url: str, on_progress: Progress) -> Moved:
    """Bring a whole installation from the SQLite database that the settings name to PostgreSQL.

    Args:
        settings: say where it is.
        target_url: an empty PostgreSQL database, as ``database_url`` would name it.
        on_progress: is told how it goes.

    Raises:
        CommandError: there is nothing to move, or it is of another version or another secret key; the target is not
            empty, or behind a connection pooler; a server runs on one of them; a row is not what PostgreSQL can keep.
            The target is as it was.
        StorageError: a database failed; run it again.
    """
    if not settings.is_sqlite:
        raise CommandError("SHOPBELL_DATABASE_URL names PostgreSQL already; a move begins at SQLite")
    require_file(settings)
    source, target = SqliteDatabase(settings.sqlite_path), _target(target_url)
    try:
        if source.read_now(state) is not State.CURRENT:
            raise CommandError("the SQLite database is not of this version; make a backup, then run `shopbell migrate`")
        with alone(source), alone(target):
            if target.read_now(state) not in (State.EMPTY, State.CURRENT, State.OLDER):
                raise CommandError("the target holds something else; name a database that is empty")
            secrets = _secret_keys(settings)
            migrate(target)
            moved = source.read_now(lambda reading: _move(reading, target, settings, secrets, on_progress))
            source.write_now(installation.hold_back, Held.MOVED)
            return moved
    except PoolerError:
        raise CommandError("--to leads through a connection pooler; name the address of PostgreSQL itself") from None
    finally:
        source.engine.dispose()
        target.engine.dispose()


def _target(url: str) -> PostgresDatabase:
    try:
        parsed = parse_database_url(url)
    except ValueError:
        raise CommandError("--to must look like postgresql://user@host/name") from None
    if parsed.get_backend_name() != "postgresql":
        raise CommandError("--to must begin with postgresql:")
    return PostgresDatabase(parsed)


def _secret_keys(settings: Settings) -> Keys:
    if settings.secret_key is None and not keys.key_file(settings).exists():
        raise CommandError(
            f"there is no secret key: neither SHOPBELL_SECRET_KEY nor {keys.key_file(settings)}; without it no API "
            "token would work"
        )
    return keys.load(settings)


def _move(reading: Connection, target: Database, settings: Settings, secrets: Keys, on_progress: Progress) -> Moved:
    if not installation.fits(reading, secrets):
        raise CommandError("the secret key is not the one that the SQLite database was made with; set it to that one")
    copied = target.write_now(lambda writing: _copy(reading, writing, secrets, on_progress))
    already = copied is None
    rows = {str(table.name): _count(reading, table) for table in tables()}
    return Moved(already, rows, None if settings.attachments_url else _attachments(settings))


def _attachments(settings: Settings) -> str:
    return f"file://{quote(str(settings.sqlite_path.with_name('attachments')))}"


def _copy(reading: Connection, writing: Connection, secrets: Keys, on_progress: Progress) -> dict[str, Content] | None:
    """Copy all rows and compare what came of it; None when it was all there already."""
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        writing.execute(text(f"SET LOCAL {name} = 0"))
    # A command beside this one would else write into what is being filled.
    names = ", ".join(table.name for table in tables())
    writing.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
    if not installation.fits(writing, secrets):
        raise CommandError("the target was used with another secret key; name a database that is empty")
    filled = [table for table in tables() if table is not facts and _is_filled(writing, table)]
    if filled:
        # But for the facts: the source has one more since.
        copied = (table for table in tables() if table is not facts)
        if all(_read(reading, table, on_progress) == _read(writing, table, on_progress) for table in copied):
            return None
        raise CommandError(
            f"the target holds an installation already (there are rows in {filled[0].name}); nothing was changed"
        )
    # A server that was tried there left nothing but the fingerprint of the same key.
    writing.execute(delete(facts))
    contents = {table.name: _copy_table(reading, writing, table, on_progress) for table in tables()}
    for table in tables():
        if _read(writing, table, on_progress) != contents[table.name]:
            raise CommandError(f"what arrived of {table.name} is not what was sent; nothing was changed")
    if installation.held_back(reading) is Held.MOVED:  # to another database, before
        installation.resume(writing)
    # Not by setval(), which would stay when the transaction does not.
    next_id = int(reading.execute(text("SELECT next_id FROM ids")).scalar_one())
    writing.execute(text(f"ALTER SEQUENCE ids RESTART WITH {next_id}"))
    for table in tables():
        # Without figures about them PostgreSQL would plan for tables that are empty.
        writing.execute(text(f"ANALYZE {table.name}"))
    return contents


def _is_filled(tx: Connection, table: Table) -> bool:
    return tx.execute(select(1).select_from(table).limit(1)).first() is not None


def _count(tx: Connection, table: Table) -> int:
    count: int = tx.execute(select(func.count()).select_from(table)).scalar_one()
    return count


def _rows(tx: Connection, table: Table, doing: str, on_progress: Progress) -> Iterator[Sequence[Any]]:
    """All rows of a table, a few of them in memory at a time."""
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
            f"a row of {table.name} is not what PostgreSQL can keep ({type(error).__name__}); nothing was changed"
        ) from None
    except psycopg.Error as error:
        raise storage_failure(error) from None
    return content
