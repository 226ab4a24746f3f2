"""Backups: all data in one file, made while the server writes, and checked to the last bit before it is restored."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from shopbell import __version__, archive, attachment_archive, attachments, installation, keys, pg_tools
from shopbell.archive import Manifest
from shopbell.blobs.disk import DiskStore
from shopbell.blobs.open import open_store
from shopbell.errors import CommandError, SettingsError
from shopbell.installation import Held
from shopbell.private_files import make_private_folder, sync_folder
from shopbell.settings import Settings
from shopbell.storage import migrations, sqlite
from shopbell.storage.database import Database
from shopbell.storage.failures import storage_failure
from shopbell.storage.migrate import State, revision_of, state
from shopbell.storage.open import connect_database, require_file
from shopbell.storage.pooler import check_session
from shopbell.storage.postgres import PostgresDatabase
from shopbell.storage.running import alone
from shopbell.storage.sqlite import SqliteDatabase

MEMBERS = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}
"""The database's name inside a backup, by engine."""

KEY_MEMBER = "secret.key"
_LOG_FILES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that is on the disk, and what its user must know of it."""

    file: Path
    size_bytes: int
    sha256: str
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        return {
            "file": str(self.file),
            "bytes": self.size_bytes,
            "sha256": self.sha256,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: where it kept what was there before, and what its user must know."""

    kept: Path | None
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """As programs get it."""
        return {
            "restored": True,
            "kept": self.kept and str(self.kept),
            "deliveriesHeldBack": True,
            "warnings": list(self.warnings),
        }


def create(settings: Settings, file: Path, *, with_secret_key: bool, now_ms: int) -> Made:
    """Write all data, as it is at one moment, to one file that is its owner's alone.

    Args:
        settings: say which database.
        file: where to write it; nothing is overwritten.
        with_secret_key: whether the secret key goes in, too.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: the file exists, there is nothing to back up, or PostgreSQL's programs are missing or failed.
        StorageError: the database failed.
    """
    if file.exists():
        raise CommandError(f"{file} exists already; nothing is overwritten")
    if not file.parent.is_dir():
        raise CommandError(f"there is no folder {file.parent}")
    require_file(settings)
    database = connect_database(settings)
    try:
        with _work_folder(file.parent) as folder:
            return _create(database, settings, file, folder, with_secret_key=with_secret_key, now_ms=now_ms)
    finally:
        database.engine.dispose()


def _create(
    database: Database, settings: Settings, file: Path, folder: Path, *, with_secret_key: bool, now_ms: int
) -> Made:
    if database.read_now(state) in (State.EMPTY, State.FOREIGN):
        raise CommandError("this database is not Shopbell's or has no tables yet; there is nothing to back up")
    engine = database.engine.dialect.name
    parts = [folder / MEMBERS[engine]]
    if isinstance(database, SqliteDatabase):
        _copy_sqlite(database, parts[0])
        version = sqlite.driver.sqlite_version
    else:
        version = database.read_now(_server_version)
        pg_tools.run("pg_dump", _conninfo(database), _major(version), ["--format=custom", f"--file={parts[0]}"])
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
        members=tuple(archive.describe(part) for part in parts),
    )
    unfinished = folder / "backup.tar"
    sha256 = archive.write(unfinished, manifest, parts)
    _publish(unfinished, file)
    return Made(file, file.stat().st_size, sha256, warnings)


def restore(settings: Settings, file: Path, *, now_ms: int) -> Restored:
    """Replace all data by that of a backup; what is there before is kept.

    Every bit of the file is checked before anything is touched. Nothing is delivered from the restored data until
    ``installation.resume``: what waited when the backup was made has been delivered since, or is elsewhere.

    Args:
        settings: say which database.
        file: what ``create`` made.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: the file is not whole, of the other engine or of a newer version; a server runs or another
            program has the file open; PostgreSQL's programs are missing or failed. The data is as it was.
        StorageError: the database failed.
    """
    home = settings.sqlite_path.parent if settings.is_sqlite else file.absolute().parent
    make_private_folder(home)
    with _work_folder(home) as folder:
        manifest = archive.extract(file, folder)
        _check(manifest, settings)
        database = connect_database(settings)
        try:
            with alone(database):
                stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
                part = folder / MEMBERS[manifest.engine]
                # First: a message must never be there without its file. And files never change, so none is in the way.
                warnings = list(_unpack_attachments(settings, folder / attachment_archive.MEMBER))
                if isinstance(database, SqliteDatabase):
                    _hold_back(part)
                    kept = _replace_sqlite(database.path, part, stamp)
                else:
                    kept = _replace_postgresql(database, settings, part, file, stamp, now_ms)
                    database.write_now(installation.hold_back, Held.RESTORED)
                warnings += [*_restore_key(settings, folder / KEY_MEMBER, stamp), *database.read_now(_look, settings)]
        finally:
            database.engine.dispose()
    return Restored(kept, tuple(warnings))


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    # On the same disk as what it becomes, so that a rename is all that is left to do; 0700 as every such folder.
    with tempfile.TemporaryDirectory(prefix=".shopbell-", dir=parent) as folder:
        yield Path(folder)


def _publish(unfinished: Path, file: Path) -> None:
    """Give a finished file its name, without overwriting what has come there meanwhile."""
    try:
        file.hardlink_to(unfinished)
    except FileExistsError:
        raise CommandError(f"{file} exists already; nothing is overwritten") from None
    except OSError:  # a file system without links
        unfinished.rename(file)
    sync_folder(file.parent)


def _check(manifest: Manifest, settings: Settings) -> None:
    """Refuse what is whole, but not for this installation."""
    engine = settings.url.get_backend_name()
    names = {member.name for member in manifest.members}
    if manifest.engine != engine:
        raise CommandError(f"the backup is of {manifest.engine}, but SHOPBELL_DATABASE_URL names {engine}")
    if MEMBERS[engine] not in names or not names <= {MEMBERS[engine], KEY_MEMBER, attachment_archive.MEMBER}:
        raise CommandError(archive.NOT_WHOLE)
    known = {script.revision for script in ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()}
    if manifest.revision not in known:
        raise CommandError(f"the backup is of Shopbell {manifest.shopbell}, which is newer; install that version first")


def _copy_sqlite(source: SqliteDatabase, target: Path) -> None:
    """Copy a database that others write to: one step, so one moment; they go on writing meanwhile."""
    reading, writing = source.connect(), sqlite.driver.connect(target)
    try:
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        is_whole = writing.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite.driver.DatabaseError as error:
        if isinstance(error, sqlite.driver.OperationalError):  # locked, full, gone: the data itself is not in question
            raise storage_failure(error) from None
        is_whole = False
    finally:
        writing.close()
        reading.close()
    if not is_whole:
        raise CommandError("the database is damaged (`PRAGMA integrity_check` says how); restore an earlier backup")


def _hold_back(part: Path) -> None:
    """Let nothing be delivered from a database that is to become this installation's: at no moment, so before it is."""
    connection = sqlite.driver.connect(part, isolation_level=None)
    try:
        connection.execute(installation.HOLD_BACK, {"why": Held.RESTORED.value})
    except sqlite.driver.DatabaseError:
        raise CommandError(archive.NOT_WHOLE) from None
    finally:
        connection.close()


def _pack_attachments(database: Database, settings: Settings, target: Path) -> Iterator[str]:
    """Put the files that the database tells of into the backup too, where they are files."""
    # Asked after the database was copied: what has come since is in vain, what has gone since has its bytes for hours.
    names = database.read_now(attachments.blobs) if database.read_now(state) is State.CURRENT else []
    if not names:
        return
    store = open_store(settings)
    if not isinstance(store, DiskStore):
        where = f"in {settings.attachments_url}" if settings.attachments_url else "nowhere that this machine knows"
        yield f"attachments are not in it: they are {where}; make a copy of them there, after the backup"
        return
    missing = set(attachment_archive.pack(store.folder, [name for name, _ in names], target))
    lost = sum(name in missing for name, must_be_there in names if must_be_there)
    if lost:
        yield f"{lost} of {len(names)} attachments have no file in {store.folder}"


def _unpack_attachments(settings: Settings, part: Path) -> Iterator[str]:
    if not part.exists():
        return
    store = open_store(settings)
    if isinstance(store, DiskStore):
        attachment_archive.unpack(part, store.folder)
    else:
        yield "the attachments of the backup were not restored: SHOPBELL_ATTACHMENTS_URL names no folder"


def _replace_sqlite(path: Path, part: Path, stamp: str) -> Path | None:
    """Put a database in the place of another. At no moment is there none: a server would begin with an empty one."""
    kept = None
    if path.exists():
        _fold_log(path)
        kept = _free_name(path.with_name(f"{path.name}.before-restore-{stamp}"))
        _keep_also_as(kept, path, part.parent)
    # What is left of a log, beside a damaged database or none. Beside another database it would corrupt that.
    for suffix in _LOG_FILES:
        present = path.with_name(path.name + suffix)
        if present.exists():
            aside = kept or _free_name(path.with_name(f"{path.name}.left-over-{stamp}"))
            present.rename(aside.with_name(aside.name + suffix))
    sync_folder(path.parent)
    part.replace(path)
    sync_folder(path.parent)
    return kept


def _fold_log(path: Path) -> None:
    """Bring what the write-ahead log holds into the database, so that it is one file; a damaged one stays as it is."""
    connection = sqlite.driver.connect(path, timeout=sqlite.BUSY_TIMEOUT_S, isolation_level=None)
    try:
        is_one_file = connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    except sqlite.driver.DatabaseError as error:
        is_one_file = not sqlite.is_busy(error)
    finally:
        connection.close()
    if not is_one_file:
        # When it lets go, it would take the log of the restored database for its own.
        raise CommandError(f"another program has {path} open; end it first")


def _keep_also_as(kept: Path, path: Path, folder: Path) -> None:
    """Give a file a second name; where there are no links, a copy made in ``folder`` gets that name."""
    try:
        kept.hardlink_to(path)
    except OSError:
        copy = folder / "kept"
        with path.open("rb") as source, copy.open("xb") as target:
            os.fchmod(target.fileno(), 0o600)
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        copy.rename(kept)


def _free_name(wanted: Path) -> Path:
    name, number = wanted, 1
    while name.exists():
        number += 1
        name = wanted.with_stem(f"{wanted.stem}-{number}")
    return name


def _replace_postgresql(
    database: Database, settings: Settings, part: Path, file: Path, stamp: str, now_ms: int
) -> Path | None:
    kept = None
    if database.read_now(state) is State.FOREIGN:
        raise CommandError("this database holds something else; give Shopbell one of its own by SHOPBELL_DATABASE_URL")
    if database.read_now(state) is not State.EMPTY:
        kept = _free_name(file.absolute().parent / f"shopbell-before-restore-{stamp}.tar")
        create(settings, kept, with_secret_key=False, now_ms=now_ms)
    version = database.read_now(_server_version)
    database.engine.dispose()
    arguments = ["--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    pg_tools.run("pg_restore", _conninfo(database), _major(version), [*arguments, str(part)])
    return kept


def _restore_key(settings: Settings, part: Path, stamp: str) -> Iterator[str]:
    """Put the backup's secret key, if it has one, where this installation keeps its own."""
    if not part.exists():
        return
    if settings.secret_key is not None:
        if part.read_bytes() != settings.secret_key.get_secret_value().encode():
            yield "the backup holds another secret key than SHOPBELL_SECRET_KEY, which was not changed"
        return
    present = keys.key_file(settings)
    if present.exists() and present.read_bytes().strip() == part.read_bytes():
        return
    if present.exists():
        present.rename(_free_name(present.with_name(f"{present.name}.before-restore-{stamp}")))
    part.rename(present)
    sync_folder(present.parent)


def _look(tx: Connection, settings: Settings) -> list[str]:
    """What the user of a restored database must know."""
    found = state(tx)
    if found is State.OLDER:
        return ["the backup is of an older version; run `shopbell migrate`"]
    if found is not State.CURRENT:
        raise CommandError(f"the restored database is {found.value}")
    has_key = settings.secret_key is not None or keys.key_file(settings).exists()
    try:
        fits = installation.fits(tx, keys.load(settings) if has_key else keys.Keys(()))
    except SettingsError:
        fits = False
    if fits:
        return []
    return [
        "the secret key of this installation is not the one of the backup, so no API token works; set "
        "SHOPBELL_SECRET_KEY (or put secret.key back) as it was when the backup was made"
    ]


def _server_version(tx: Connection) -> str:
    return str(tx.execute(text("SHOW server_version")).scalar_one()).split()[0]


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _conninfo(database: Database) -> str:
    assert isinstance(database, PostgresDatabase)  # noqa: S101 - there are two engines, and this one is asked of one
    check_session(database)
    return database.conninfo
