"""Restore a backup: replace all data, and keep what it replaces."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, text

from shopbell.attachments.disk_store import DiskStore
from shopbell.attachments.open_store import open_store
from shopbell.db import installation, sqlite
from shopbell.db.connect import connect_database
from shopbell.db.database import Database
from shopbell.db.installation import PauseReason
from shopbell.db.instance_lock import exclusive_lock
from shopbell.db.migrate import State, revision_of, revisions, state
from shopbell.db.sqlite import SqliteDatabase
from shopbell.errors import CommandError, SettingsError
from shopbell.operations.backups import attachment_archive, backup, tar
from shopbell.operations.backups.backup import KEY_MEMBER, MEMBERS, work_folder
from shopbell.operations.backups.tar import Manifest
from shopbell.security import keys
from shopbell.security.files import make_private_folder, sync_folder
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from shopbell.db.postgres import PostgresDatabase

_LOG_FILES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Restored:
    """A completed restore: where the previous data is, and warnings for the operator."""

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


def restore(settings: Settings, file: Path, *, keep_in: Path | None = None, now_ms: int) -> Restored:
    """Replace all data with a backup, and keep the previous data.

    Checks every bit of the file before it changes anything. Deliveries are paused until
    ``installation.resume_deliveries``: events that waited at the time of the backup have been delivered since then.

    Args:
        settings: say which database.
        file: a backup from ``backup.create``.
        keep_in: the folder for the previous data of a PostgreSQL database; by default that of ``file``.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: the file is damaged, for the other engine or from a newer version; a server is running or another
            program has the database file open; a PostgreSQL database has the tables of another version; PostgreSQL's
            programs are missing or failed. The data is unchanged.
        StorageError: the database failed.
    """
    home = settings.sqlite_path.parent if settings.is_sqlite else file.absolute().parent
    make_private_folder(home)
    with work_folder(home) as folder:
        manifest = tar.extract(file, folder)
        _check(manifest, settings)
        database = connect_database(settings)
        try:
            with exclusive_lock(database):
                if manifest.engine == "postgresql":
                    _check_revision(database, manifest)
                stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
                part = folder / MEMBERS[manifest.engine]
                # Attachments first: a message must never exist without its file. Files never change, so none conflicts.
                warnings = list(_unpack_attachments(settings, folder / attachment_archive.MEMBER))
                if isinstance(database, SqliteDatabase):
                    _pause_deliveries(part)
                    kept = _replace_sqlite(database.path, part, stamp)
                else:
                    aside = keep_in or file.absolute().parent
                    kept = _replace_postgresql(database, settings, part, aside, stamp, now_ms)
                warnings += [*_restore_key(settings, folder / KEY_MEMBER, stamp), *database.read_now(_look, settings)]
        finally:
            database.engine.dispose()
    return Restored(kept, tuple(warnings))


def _check(manifest: Manifest, settings: Settings) -> None:
    """Reject a complete backup that does not fit this installation."""
    engine = settings.url.get_backend_name()
    names = {member.name for member in manifest.members}
    if manifest.engine != engine:
        raise CommandError(f"the backup is for {manifest.engine}, but SHOPBELL_DATABASE_URL uses {engine}")
    if MEMBERS[engine] not in names or not names <= {MEMBERS[engine], KEY_MEMBER, attachment_archive.MEMBER}:
        raise CommandError(tar.NOT_WHOLE)
    if manifest.revision not in revisions():
        raise CommandError(
            f"the backup is from Shopbell {manifest.shopbell}, which is newer; install that version first"
        )


def _pause_deliveries(part: Path) -> None:
    """Pause the deliveries of a restored database before it is in place."""
    connection = sqlite.driver.connect(part, isolation_level=None)
    try:
        connection.execute(
            installation.PAUSE_DELIVERIES_SQL, {"pause": installation.describe_pause(PauseReason.RESTORED)}
        )
    except sqlite.driver.DatabaseError:
        raise CommandError(tar.NOT_WHOLE) from None
    finally:
        connection.close()


def _unpack_attachments(settings: Settings, part: Path) -> Iterator[str]:
    if not part.exists():
        return
    store = open_store(settings)
    if isinstance(store, DiskStore):
        attachment_archive.unpack(part, store.folder)
    else:
        yield "the attachments in the backup were not restored: SHOPBELL_ATTACHMENTS_URL is not a folder"


def _replace_sqlite(path: Path, part: Path, stamp: str) -> Path | None:
    """Replace a database. A file always exists, because a server would create an empty one."""
    kept = None
    if path.exists():
        _fold_log(path)
        kept = _free_name(path.with_name(f"{path.name}.before-restore-{stamp}"))
        _keep_also_as(kept, path, part.parent)
    # A log that remains from a damaged or missing database. It would corrupt another database.
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
    """Fold the write-ahead log into the database file; leave a damaged database unchanged."""
    connection = sqlite.driver.connect(path, timeout=sqlite.BUSY_TIMEOUT_S, isolation_level=None)
    try:
        is_one_file = connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    except sqlite.driver.DatabaseError as error:
        is_one_file = not sqlite.is_busy(error)
    finally:
        connection.close()
    if not is_one_file:
        # When it closes the file, it would treat the log of the restored database as its own.
        raise CommandError(f"another program has {path} open; stop it first")


def _keep_also_as(kept: Path, path: Path, folder: Path) -> None:
    """Give a file a second name; without hard links, copy it through ``folder``."""
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


def _check_revision(database: Database, manifest: Manifest) -> None:
    """Reject a PostgreSQL database with other tables than the backup.

    A restore replaces only what the backup contains. Tables of a later migration would remain, and that migration would
    fail when it runs again.
    """
    found = database.read_now(state)
    if found is State.FOREIGN:
        raise CommandError("the database is not a Shopbell database; set SHOPBELL_DATABASE_URL to a separate one")
    if found is not State.EMPTY and database.read_now(revision_of) != manifest.revision:
        raise CommandError(
            "the database has the tables of another version than the backup; create an empty database, set "
            "SHOPBELL_DATABASE_URL to it, and restore the backup there"
        )


def _replace_postgresql(
    database: Database, settings: Settings, part: Path, aside: Path, stamp: str, now_ms: int
) -> Path | None:
    kept = None
    if database.read_now(state) is not State.EMPTY:
        kept = _free_name(aside / f"shopbell-before-restore-{stamp}.tar")
        backup.create(settings, kept, with_secret_key=False, now_ms=now_ms)
    from shopbell.operations.backups import pg_tools  # imports PostgreSQL's driver

    pause = text(installation.PAUSE_DELIVERIES_SQL).bindparams(pause=installation.describe_pause(PauseReason.RESTORED))
    sql = pause.compile(database.engine, compile_kwargs={"literal_binds": True})
    pg_tools.restore(cast("PostgresDatabase", database), part, str(sql))
    return kept


def _restore_key(settings: Settings, part: Path, stamp: str) -> Iterator[str]:
    """Restore the secret key if the backup contains one."""
    if not part.exists():
        return
    if settings.secret_key is not None:
        if part.read_bytes() != settings.secret_key.get_secret_value().encode():
            yield "the secret key in the backup differs from SHOPBELL_SECRET_KEY, which was not changed"
        return
    present = keys.key_file(settings)
    if present.exists() and present.read_bytes().strip() == part.read_bytes():
        return
    if present.exists():
        present.rename(_free_name(present.with_name(f"{present.name}.before-restore-{stamp}")))
    part.rename(present)
    sync_folder(present.parent)


def _look(tx: Connection, settings: Settings) -> list[str]:
    """Return warnings about the restored database."""
    found = state(tx)
    if found is State.OLDER:
        return ["the backup is from an older version; run `shopbell migrate`"]
    if found is not State.CURRENT:
        raise CommandError(f"the restored database is {found.value}")
    has_key = settings.secret_key is not None or keys.key_file(settings).exists()
    try:
        fits = installation.key_matches(tx, keys.load(settings) if has_key else keys.Keys(()))
    except SettingsError:
        fits = False
    if fits:
        return []
    return [
        "this installation has another secret key than the backup, so no API token works; set SHOPBELL_SECRET_KEY (or "
        "put secret.key back) to the key at the time of the backup"
    ]
