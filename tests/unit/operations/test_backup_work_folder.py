"""Backups that begin at the same time delete no folder that another one uses."""

import fcntl
from pathlib import Path

import pytest

from shopbell.operations.backups import job


def test_another_backup_deletes_no_work_folder_that_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one cleans up after this one has created its folder, and before it locks it."""
    flock = fcntl.flock
    others: list[Path] = []

    def late_flock(lock: int, operation: int) -> None:
        monkeypatch.undo()
        with job._locked_work_folder(tmp_path) as other:
            others.append(other)
        flock(lock, operation)

    monkeypatch.setattr(fcntl, "flock", late_flock)
    with job._locked_work_folder(tmp_path) as folder:
        (folder / "database.sqlite3").write_bytes(b"x")
        with job._locked_work_folder(tmp_path):
            assert folder.is_dir()
    assert len(others) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_backup_works_without_file_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        job._locked_work_folder(tmp_path) as folder,
        job._locked_work_folder(tmp_path) as other,
    ):
        assert folder.is_dir()
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == []
