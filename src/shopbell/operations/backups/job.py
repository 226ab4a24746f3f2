"""Make a backup in a folder or bucket: write it, read it back, delete older ones."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from shopbell.attachments import attachments
from shopbell.attachments.disk_store import DiskStore
from shopbell.attachments.open_store import open_store
from shopbell.db import sqlite
from shopbell.db.connect import connect_database, require_file
from shopbell.db.database import Database
from shopbell.db.migrate import State, state
from shopbell.db.sqlite import SqliteDatabase
from shopbell.db.sqlite_files import files_of
from shopbell.errors import CommandError
from shopbell.operations.backups import backup, record, tar
from shopbell.operations.backups.backup import COUNTED, MEMBERS, Made, count_sqlite_rows
from shopbell.operations.backups.record import Last, Series
from shopbell.operations.backups.retention import Keep
from shopbell.operations.backups.targets import Target
from shopbell.settings.settings import Settings

RESERVE_BYTES = 200 * 1024 * 1024
"""How much of the database's disk a backup leaves free. A full disk would stop the server."""

_WORK_PREFIX = ".shopbell-backup-"
_LOCK = "lock"
_FOLDER_TRIES = 10


class Superseded(CommandError):
    """Another process makes the backup, or has made it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A backup that was stored and verified.

    Args:
        address: where it is.
        made: what it contains.
        deleted: the names of the older backups that were deleted.
        warnings: for the operator.
    """

    address: str
    made: Made
    deleted: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        own = {"file": self.address, "deleted": list(self.deleted), "warnings": list(self.warnings)}
        return self.made.as_json() | own


def store_backup(
    settings: Settings,
    target: Target,
    keep: Keep | None,
    *,
    with_secret_key: bool,
    now_ms: int,
    is_ours: Callable[[Connection], bool] = lambda _: True,
) -> Stored:
    """Write a backup to a place, verify what is there, then delete older backups of this database.

    Args:
        keep: which older backups to keep; None keeps all.
        with_secret_key: whether to include the secret key.
        now_ms: the time in Unix ms.
        is_ours: whether this process may still make the backup. It is asked before the backup is stored, and again
            before older ones are deleted.

    Raises:
        Superseded: it may not; no older backup was deleted.
        CommandError: the backup could not be made, stored or read back; as above.
        OSError: a disk is full, missing or read-only; as above.
        StorageError: the database failed.
    """
    began_s = time.monotonic()
    require_file(settings)
    database = connect_database(settings)
    try:
        if database.read_now(state) in (State.EMPTY, State.FOREIGN):
            raise CommandError("the database is empty or not a Shopbell database; there is nothing to back up")
        series = database.write_now(record.series)
        name = series.name(now_ms)
        if not isinstance(database, SqliteDatabase):
            from shopbell.operations.backups import pg_tools  # imports PostgreSQL's driver

            pg_tools.version_of("pg_restore")
        if name in target.names():
            raise CommandError(f"{target.address(name)} already exists")
        with _locked_work_folder(target.work_folder) as folder:
            _check_space(database, settings, folder)
            made = backup.create(settings, folder / name, with_secret_key=with_secret_key, now_ms=now_ms)
            database.write_now(_require_ours, is_ours)
            target.store(made.file, name)
            try:
                _verify(target.fetch(name, folder), made, folder)
            except (CommandError, OSError) as error:
                with suppress(CommandError, OSError):
                    target.delete(name)
                where = target.address(name)
                raise CommandError(f"{where} could not be verified and was deleted: {error}") from None
        duration_ms = round((time.monotonic() - began_s) * 1000)
        database.write_now(_note, is_ours, Last(now_ms, duration_ms))
    finally:
        database.engine.dispose()
    warnings, deleted = list(made.warnings), []
    if keep is not None:
        try:
            for each in _superfluous(target.names(), series, keep, name):
                target.delete(each)
                deleted.append(each)
        except (CommandError, OSError) as error:
            warnings.append(f"older backups were not deleted: {error}")
    return Stored(target.address(name), made, tuple(deleted), tuple(warnings))


def _require_ours(tx: Connection, is_ours: Callable[[Connection], bool]) -> None:
    if not is_ours(tx):
        raise Superseded("another process makes this backup now, or has made it")


def _note(tx: Connection, is_ours: Callable[[Connection], bool], made: Last) -> None:
    _require_ours(tx, is_ours)
    record.note(tx, made)


def _superfluous(names: list[str], series: Series, keep: Keep, newest: str) -> list[str]:
    """List the backups of a series to delete: none of other series, not ``newest``, none if that is missing."""
    taken = {at: name for name in names if (at := series.taken(name)) is not None}
    if newest not in taken.values():
        raise CommandError("the list of backups does not contain the new one")
    return sorted({taken[at] for at in keep.superfluous(taken)} - {newest})


def _verify(file: Path, made: Made, folder: Path) -> None:
    """Compare every bit of a file with what was written, then open the database in it and count its rows."""
    if tar.describe(file).sha256 != made.sha256:
        raise CommandError("its checksum differs")
    parts = folder / "parts"
    parts.mkdir()
    manifest = tar.extract(file, parts)
    part = parts / MEMBERS[manifest.engine]
    if manifest.engine == "sqlite":
        rows = _check_sqlite(part)
    else:
        from shopbell.operations.backups import pg_tools  # imports PostgreSQL's driver

        rows = pg_tools.count_rows(part, COUNTED)
    if rows != made.rows:
        raise CommandError("its numbers of organizations and messages differ from those in the database")


def _check_sqlite(part: Path) -> dict[str, int]:
    connection = sqlite.driver.connect(part)
    try:
        if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise CommandError("its database is damaged")
        return count_sqlite_rows(connection)
    except sqlite.driver.DatabaseError:
        raise CommandError("its database is damaged") from None
    finally:
        connection.close()


def _check_space(database: Database, settings: Settings, folder: Path) -> None:
    """Check that a backup of a SQLite file fits: the copy and the backup, or the backup and what is read from it."""
    if not isinstance(database, SqliteDatabase):
        return  # the size of a dump is not known before
    content_bytes = sum(path.stat().st_size for path in files_of(database.path)[:2] if path.exists())
    if isinstance(open_store(settings), DiskStore) and database.read_now(state) is State.CURRENT:
        content_bytes += database.read_now(attachments.stored_bytes)
    needed_bytes, free_bytes = 2 * content_bytes + RESERVE_BYTES, shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise CommandError(
            f"a backup needs {needed_bytes // 1024**2} MiB on the disk of {folder.parent}, but only "
            f"{free_bytes // 1024**2} MiB are free"
        )


@contextmanager
def _locked_work_folder(parent: Path) -> Iterator[Path]:
    """A folder for unfinished files. Delete those of processes that were killed."""
    if not parent.is_dir():
        raise CommandError(f"there is no folder {parent}; create it, or mount its disk")
    for left_over in parent.glob(f"{_WORK_PREFIX}*"):
        with suppress(OSError), _locked(left_over):  # in use, or a file system without locks
            shutil.rmtree(left_over)
    with ExitStack() as stack:
        for _ in range(_FOLDER_TRIES):
            folder = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=parent))
            try:
                stack.enter_context(_locked(folder))
            except (BlockingIOError, FileNotFoundError):
                continue  # another backup takes it for a left-over one and deletes it
            except OSError:  # a file system without locks
                pass
            stack.callback(shutil.rmtree, folder, ignore_errors=True)  # while it is locked
            yield folder
            return
    raise CommandError(f"other programs delete the work folder of the backup in {parent}; try again")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a work folder against other backups.

    Raises:
        BlockingIOError: another backup has locked it.
        FileNotFoundError: another backup has deleted it.
        OSError: the file system has no locks.
    """
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink == 0:
            raise FileNotFoundError(f"{folder} was deleted before it was locked")
        yield
    finally:
        os.close(lock)
