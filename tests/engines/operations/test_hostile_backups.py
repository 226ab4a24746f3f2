"""Backups with valid checksums and hostile content."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.installation import Database, Installation
from shopbell.errors import CommandError
from shopbell.operations.backups import tar

CONTENT = b"content"
MEMBER = tar.Member("database.sqlite3", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
MANIFEST = tar.Manifest("1", "sqlite", "3", "0001", 0, (MEMBER,))
STEERING = "\x1b[2Jsqlite\nshopbell: restored"


def _write(folder: Path, manifest: tar.Manifest) -> Path:
    part = folder / "part"
    part.write_bytes(CONTENT)
    tar.write(folder / "hostile", manifest, [part])
    return folder / "hostile"


@pytest.mark.parametrize(
    "wrong",
    [
        {"shopbell": STEERING},
        {"engine": STEERING},
        {"engine": ["sqlite"]},
        {"engine": ""},
        {"engine_version": 3},
        {"revision": 1},
        {"revision": STEERING},
        {"created_at_ms": "0"},
        {"created_at_ms": True},
        {"created_at_ms": 0.5},
        {"members": (replace(MEMBER, sha256=None),)},
    ],
    ids=str,
)
def test_a_manifest_with_wrong_types_or_control_characters_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    hostile = _write(tmp_path, replace(MANIFEST, **wrong))
    with pytest.raises(CommandError, match="not a complete Shopbell backup"):
        tar.extract(hostile, folder)


def test_a_backup_with_a_part_twice_is_refused(tmp_path: Path) -> None:
    folder, part = tmp_path / "folder", tmp_path / "part"
    folder.mkdir()
    part.write_bytes(CONTENT)
    tar.write(tmp_path / "hostile", replace(MANIFEST, members=(MEMBER, MEMBER)), [part, part])
    with pytest.raises(CommandError, match="not a complete Shopbell backup"):
        tar.extract(tmp_path / "hostile", folder)


def test_error_lines_cannot_control_the_terminal(tmp_path: Path) -> None:
    done = Installation(Database(f"sqlite:///{tmp_path}/shopbell.db"), tmp_path).run("restore", "\x1b[2J.backup")
    assert done.returncode == 1
    assert done.stderr == "shopbell: there is no file \\x1b[2J.backup\n"
