"""Private files belong to their owner only and are synced before use."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from shopbell.db import sqlite
from shopbell.db.instance_lock import shared_lock
from shopbell.db.sqlite import SqliteDatabase
from shopbell.security import keys
from shopbell.security.files import write_private
from shopbell.settings.settings import Settings


def _settings(folder: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{folder}/shopbell.db", secret_key=None)


def _hold(folder: Path) -> None:
    with shared_lock(SqliteDatabase(folder / "shopbell.db")):
        pass


MAKERS: dict[str, Callable[[Path], object]] = {
    "secret key": lambda folder: keys.load(_settings(folder)),
    "database": lambda folder: sqlite.connect(folder / "shopbell.db").close(),
    "lock": _hold,
    "demo": lambda folder: write_private(folder / "demo.json", b"{}"),
}


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of all that is synced to the disk from now on, in order."""
    inodes: list[int] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        inodes.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    return inodes


@pytest.mark.parametrize("maker", MAKERS)
def test_a_folder_is_created_accessible_to_its_owner_only(maker: str, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        MAKERS[maker](tmp_path / "data")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_new_secret_key_is_synced_to_disk_before_use(synced: list[int], tmp_path: Path) -> None:
    keys.load(_settings(tmp_path / "data"))
    assert synced == [path.stat().st_ino for path in (tmp_path / "data" / "secret.key", tmp_path / "data")]


def test_leftovers_of_a_crashed_process_with_the_same_id_are_replaced(tmp_path: Path) -> None:
    left = tmp_path / f".secret.key.{os.getpid()}"
    left.write_text("half")
    (made,) = keys.load(_settings(tmp_path)).secrets
    assert made == (tmp_path / "secret.key").read_bytes().strip()
    assert len(made) == 64


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"first", replace=False)
    write_private(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    write_private(path, b"third")
    assert path.read_bytes() == b"third"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
