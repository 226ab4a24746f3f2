"""Back up all data to one file while the server runs."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shopbell import __version__
from shopbell.attachments import attachments
from shopbell.attachments.disk_store import DiskStore
from shopbell.attachments.open_store import open_store
from shopbell.db import sqlite
from shopbell.db.connect import connect_database, require_file
from shopbell.db.database import Database
from shopbell.db.failures import storage_failure
from shopbell.db.migrate import State, revision_of, state
from shopbell.db.sqlite import SqliteDatabase
from shopbell.errors import CommandError
from shopbell.operations.backups import attachment_archive, tar
from shopbell.operations.backups.tar import Manifest
from shopbell.security import keys
from shopbell.security.files import publish
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from shopbell.db.postgres import PostgresDatabase

MEMBERS = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}
"""The name of the database in a backup, by engine."""

KEY_MEMBER = "secret.key"
COUNTED = ("organizations", "messages")
"""The tables whose rows are counted in the snapshot that a backup contains."""


@dataclass(frozen=True, slots=True)
class Made:
    """A completed backup, with warnings for the operator.

    Args:
        rows: how many rows of each of ``COUNTED`` the database had in the snapshot of this backup.
    """

    file: Path
    size_bytes: int
    sha256: str
    rows: Mapping[str, int]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        return {
            "file": str(self.file),
            "bytes": self.size_bytes,
            "sha256": self.sha256,
            **self.rows,
            "warnings": list(self.warnings),
        }


def create(settings: Settings, file: Path, *, with_secret_key: bool, now_ms: int) -> Made:
    """Write a snapshot of all data to one file that only its owner can read.

    Args:
        settings: say which database.
        file: the file to write; it must not exist.
        with_secret_key: whether to include the secret key.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: the file exists, the database is empty, or PostgreSQL's programs are missing or failed.
        StorageError: the database failed.
    """
    if file.exists():
        raise CommandError(f"{file} already exists")
    if not file.parent.is_dir():
        raise CommandError(f"there is no folder {file.parent}")
    require_file(settings)
    database = connect_database(settings)
    try:
        with work_folder(file.parent) as folder:
            return _create(database, settings, file, folder, with_secret_key=with_secret_key, now_ms=now_ms)
    finally:
        database.engine.dispose()


def _create(
    database: Database, settings: Settings, file: Path, folder: Path, *, with_secret_key: bool, now_ms: int
) -> Made:
    if database.read_now(state) in (State.EMPTY, State.FOREIGN):
        raise CommandError("the database is empty or not a Shopbell database; there is nothing to back up")
    engine = database.engine.dialect.name
    parts = [folder / MEMBERS[engine]]
    if isinstance(database, SqliteDatabase):
        rows = _copy_sqlite(database, parts[0])
        version = sqlite.driver.sqlite_version
    else:
        from shopbell.operations.backups import pg_tools  # imports PostgreSQL's driver

        version, rows = pg_tools.dump(cast("PostgresDatabase", database), parts[0], COUNTED)
    if with_secret_key:
        parts.append(folder / KEY_MEMBER)
        parts[-1].write_bytes(keys.load(settings).secrets[0])
    files = folder / attachment_archive.MEMBER
    warnings = tuple(_pack_attachments(database, settings, files))
    if files.exists():
        parts.append(files)
    manifest = Manifest(
        shopbell=__version__,
        engine=engine,
        engine_version=version,
        revision=database.read_now(revision_of),
        created_at_ms=now_ms,
        members=tuple(tar.describe(part) for part in parts),
    )
    unfinished = folder / "backup.tar"
    sha256 = tar.write(unfinished, manifest, parts)
    publish(unfinished, file)
    return Made(file, file.stat().st_size, sha256, rows, warnings)


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A folder for unfinished files, which exists until the block ends; only its owner may enter it."""
    # On the same disk as the target, so that a rename suffices.
    with tempfile.TemporaryDirectory(prefix=".shopbell-", dir=parent) as folder:
        yield Path(folder)


def count_sqlite_rows(connection: Any) -> dict[str, int]:
    """Count the rows of each of ``COUNTED`` in a SQLite database."""
    return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED}


def _copy_sqlite(source: SqliteDatabase, target: Path) -> dict[str, int]:
    """Copy a database in one step, which gives one snapshot, while others write to it; return its numbers of rows."""
    reading, writing = source.connect(), sqlite.driver.connect(target)
    try:
        reading.execute("BEGIN")
        rows = count_sqlite_rows(reading)
        reading.backup(writing)  # of the snapshot of this transaction
        reading.execute("ROLLBACK")
        writing.execute("PRAGMA journal_mode = DELETE")  # fold the log into the file
        is_whole = writing.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite.driver.DatabaseError as error:
        if isinstance(error, sqlite.driver.OperationalError):  # locked, full or missing; the data is fine
            raise storage_failure(error) from None
        is_whole = False
    finally:
        writing.close()
        reading.close()
    if not is_whole:
        raise CommandError(
            "the database is damaged (run `PRAGMA integrity_check` for details); restore an earlier backup"
        )
    return rows


def _pack_attachments(database: Database, settings: Settings, target: Path) -> Iterator[str]:
    """Add the attachments in the database to the backup, if a folder stores them."""
    # After the copy of the database: newer attachments are unused; the bytes of deleted ones remain for hours.
    names = database.read_now(attachments.blobs) if database.read_now(state) is State.CURRENT else []
    if not names:
        return
    store = open_store(settings)
    if not isinstance(store, DiskStore):
        where = f"in {settings.attachments_url}" if settings.attachments_url else "in an unknown place"
        yield f"the backup has no attachments, because they are {where}; copy them from there after the backup"
        return
    missing = set(attachment_archive.pack(store.folder, [name for name, _ in names], target))
    lost = sum(name in missing for name, must_be_there in names if must_be_there)
    if lost:
        yield f"{lost} of {len(names)} attachments are missing in {store.folder}"
