"""``shopbell backup --to`` writes, verifies, and deletes older backups of the same database only."""

import fcntl
import os
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.databases import add_postgres_programs
from harness.findings import examine
from harness.installation import Installation
from shopbell.errors import CommandError
from shopbell.operations.backups import backup, job, tar
from shopbell.operations.backups.backup import MEMBERS
from shopbell.operations.backups.targets import FolderTarget
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import load

if TYPE_CHECKING:
    from harness.databases import Databases

HOUR_MS = 60 * 60 * 1000
DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def installation(installation: Installation, engine: str, databases: "Databases") -> Installation:
    """The installation, with PostgreSQL's programs in its PATH where it needs them."""
    if engine == "postgresql":
        add_postgres_programs(installation, databases)
    return installation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the backups go."""
    place = tmp_path / "backups"
    place.mkdir()
    return place


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def series(made: dict[str, object]) -> str:
    """How the names of a database's backups begin."""
    return Path(str(made["file"])).name.rpartition("-")[0]


def test_a_backup_has_its_time_in_its_name_and_can_be_restored(installation: Installation, folder: Path) -> None:
    made = installation.cli("backup", "--to", folder)
    file = Path(made["file"])
    assert names(folder) == {file.name}
    assert file.stat().st_size == made["bytes"]
    counted = {table: installation.database.value(f"SELECT count(*) FROM {table}") for table in backup.COUNTED}
    assert {table: made[table] for table in backup.COUNTED} == counted
    assert counted["organizations"] == 2
    installation.cli("organization", "create", "Made after the backup")
    assert installation.cli("restore", file)["warnings"] == []
    assert installation.database.value("SELECT count(*) FROM organizations") == 2


def test_only_older_backups_of_the_same_database_are_deleted(installation: Installation, folder: Path) -> None:
    made = installation.cli("backup", "--to", folder)
    own, whole = series(made), Path(made["file"])
    old = [f"{own}-2026010{day}T0{hour}0000Z.tar" for day in (1, 2, 3) for hour in (1, 2)]
    others = {
        "shopbell-00000000-20260101T010000Z.tar",
        f"{own}-20260101T010000Z.tar.gz",
        f"{own}-20260101T010000Z",
        "notes.txt",
    }
    for name in (*old, *others):
        shutil.copy(whole, folder / name)
    (folder / f"{own}-20260104T010000Z.tar").symlink_to("notes.txt")
    whole.unlink()
    before = names(folder)
    done = installation.cli("backup", "--to", folder, "--keep", "3d")
    new = Path(done["file"]).name
    kept = {new, f"{own}-20260103T020000Z.tar", f"{own}-20260102T020000Z.tar"}
    assert set(done["deleted"]) == set(old) - kept
    assert names(folder) == (before - set(old)) | kept
    assert done["warnings"] == []


def test_a_backup_without_a_rule_deletes_nothing(installation: Installation, folder: Path) -> None:
    made = installation.cli("backup", "--to", folder)
    Path(made["file"]).rename(folder / f"{series(made)}-20200101T000000Z.tar")
    assert installation.cli("backup", "--to", folder)["deleted"] == []
    assert len(names(folder)) == 2


def test_the_settings_name_place_and_rule(installation: Installation, folder: Path) -> None:
    installation.settings = {
        **installation.settings,
        "SHOPBELL_BACKUP_TO": str(folder),
        "SHOPBELL_BACKUP_KEEP": "1d",
    }
    made = installation.cli("backup")
    old = f"{series(made)}-20200101T000000Z.tar"
    Path(made["file"]).rename(folder / old)
    assert installation.cli("backup")["deleted"] == [old]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "SHOPBELL_BACKUP_TO"),
        (("x.tar", "--to", "y"), "--to"),
        (("--to", "y", "--keep", "7"), "7d4w"),
        (("--to", "ftp://host/folder"), "s3://bucket/prefix"),
    ],
)
def test_a_wrong_command_is_explained(installation: Installation, arguments: tuple[str, ...], said: str) -> None:
    done = installation.run("backup", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_missing_folder_is_not_created(installation: Installation, folder: Path) -> None:
    done = installation.run("backup", "--to", folder / "not-mounted")
    assert done.returncode == 1
    assert "mount its disk" in done.stderr
    assert names(folder) == set()


@pytest.mark.parametrize("damage", ["flipped", "cut"])
@pytest.mark.parametrize("verifies", [True, False], ids=["verified", "control"])
def test_a_backup_that_is_damaged_on_its_way_deletes_nothing_but_itself(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str, verifies: bool
) -> None:
    made = installation.cli("backup", "--to", folder)
    old = f"{series(made)}-20200101T000000Z.tar"
    Path(made["file"]).rename(folder / old)
    store = FolderTarget.store

    def damaging_store(target: FolderTarget, file: Path, name: str) -> None:
        store(target, file, name)
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content if damage == "flipped" else content[:-512])

    monkeypatch.setattr(FolderTarget, "store", damaging_store)
    if not verifies:
        monkeypatch.setattr(job, "_verify", lambda *_: None)
    before = installation.database.rows("SELECT * FROM installation WHERE name = 'backup_last'")
    done = installation.run("backup", "--to", folder, "--keep", "1d")
    if verifies:
        assert done.returncode == 1
        assert "could not be verified and was deleted: its checksum differs" in done.stderr
        assert names(folder) == {old}
        assert installation.database.rows("SELECT * FROM installation WHERE name = 'backup_last'") == before
    else:  # without the verification, a damaged backup replaces a good one
        assert done.returncode == 0
        assert old not in names(folder)


def test_a_backup_with_other_rows_than_the_database_is_refused(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    made = backup.create(load(), folder / "file.tar", with_secret_key=False, now_ms=now_ms())
    (folder / "control").mkdir()
    job._verify(made.file, made, folder / "control")
    for table in backup.COUNTED:
        other = replace(made, rows={**made.rows, table: made.rows[table] + 1})
        work = folder / table
        work.mkdir()
        with pytest.raises(CommandError, match="numbers of organizations and messages differ"):
            job._verify(made.file, other, work)


def test_a_backup_with_a_damaged_database_is_refused(installation: Installation, folder: Path, engine: str) -> None:
    made = installation.cli("backup", "--to", folder)
    (folder / "parts").mkdir()
    manifest = tar.extract(Path(made["file"]), folder / "parts")
    part = folder / "parts" / MEMBERS[engine]
    content = bytearray(part.read_bytes())
    begin = 4096 if engine == "sqlite" else 100
    content[begin : begin + 8192] = b"\xaa" * 8192
    part.write_bytes(content)
    file = folder / "damaged.tar"
    digest = tar.write(file, replace(manifest, members=(tar.describe(part),)), [part])
    rows = {table: made[table] for table in backup.COUNTED}
    (folder / "work").mkdir()
    with pytest.raises(CommandError, match=r"damaged|pg_restore cannot read"):
        job._verify(file, backup.Made(file, file.stat().st_size, digest, rows), folder / "work")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_backup_does_not_fill_the_disk_of_the_database(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(0, 0, job.RESERVE_BYTES))
    done = installation.run("backup", "--to", folder)
    assert done.returncode == 1
    assert "MiB are free" in done.stderr
    assert names(folder) == set()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_work_folders_of_killed_processes_are_deleted(installation: Installation, folder: Path) -> None:
    left_over, in_use = folder / ".shopbell-backup-killed", folder / ".shopbell-backup-running"
    for each in (left_over, in_use):
        each.mkdir()
        (each / "lock").touch()
        (each / "database.sqlite3").write_bytes(b"x")
    (folder / ".shopbell-backup-killed-early").mkdir()
    lock = os.open(in_use / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = installation.cli("backup", "--to", folder)
    finally:
        os.close(lock)
    assert names(folder) == {in_use.name, Path(made["file"]).name}


def age(installation: Installation, hours: int) -> None:
    """Let the last backup have been made so many hours ago."""
    value = f"{now_ms() - hours * HOUR_MS - 1} 10"
    assert installation.database.change("UPDATE installation SET value = :v WHERE name = 'backup_last'", v=value)


def test_doctor_says_when_the_last_backup_is_too_old(installation: Installation, folder: Path) -> None:
    def found() -> tuple[str, str]:
        (finding,) = examine(installation)[1]["backups"]
        return finding["level"], finding["detail"]

    assert found() == ("warning", "none is made in regular intervals")
    installation.cli("backup", "--to", folder)
    assert found() == ("ok", "the last one was made 0 hours ago")
    age(installation, 24 * 7)
    assert found()[0] == "ok"
    age(installation, 24 * 8)
    assert found() == ("error", "the last one was made 192 hours ago")
    installation.settings = {**installation.settings, "SHOPBELL_BACKUP_TO": str(folder)}
    age(installation, 35)
    assert found()[0] == "ok"
    age(installation, 36)
    assert found() == ("error", "the last one was made 36 hours ago")


def test_doctor_says_that_backups_cannot_be_written(installation: Installation, folder: Path) -> None:
    installation.settings = {**installation.settings, "SHOPBELL_BACKUP_TO": str(folder / "not-mounted")}
    code, findings = examine(installation)
    assert code == 1
    levels = [(each["level"], each["detail"]) for each in findings["backups"]]
    assert levels == [
        ("error", f"there is no folder {folder / 'not-mounted'}"),
        ("warning", "no backup has been made yet"),
    ]
    assert "mount" in findings["backups"][0]["remedy"]


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("BACKUP_TO", "relative/folder", "absolute folder"),
        ("BACKUP_TO", "http://host/x", "s3://bucket/prefix"),
        ("BACKUP_KEEP", "4w7d", "7d4w"),
        ("BACKUP_AT", "24:00", "23:59"),
    ],
)
def test_a_wrong_setting_is_explained(installation: Installation, setting: str, value: str, said: str) -> None:
    installation.settings = {**installation.settings, f"SHOPBELL_{setting}": value}
    done = installation.run("doctor")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"shopbell: SHOPBELL_{setting}: ")
    assert said in line
    assert value not in line.replace(said, "")


def test_people_see_what_was_written_and_deleted(installation: Installation, folder: Path) -> None:
    made = installation.cli("backup", "--to", folder)
    old = f"{series(made)}-20200101T000000Z.tar"
    Path(made["file"]).rename(folder / old)
    lines = installation.run("backup", "--to", folder, "--keep", "1d").stdout.splitlines()
    assert lines[0].startswith(f"Wrote {folder}/shopbell-")
    assert lines[1:] == ["Verified: organizations 2, messages 0", f"Deleted {old}"]
