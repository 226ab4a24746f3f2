"""A backup whose checksums fit, but which somebody made to mislead."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.installation import Database, Installation
from shopbell import archive
from shopbell.errors import CommandError

CONTENT = b"content"
MEMBER = archive.Member("database.sqlite3", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
MANIFEST = archive.Manifest("1", "sqlite", "3", "0001", 0, (MEMBER,))
STEERING = "\x1b[2Jsqlite\nshopbell: restored"


def _write(folder: Path, manifest: archive.Manifest) -> Path:
    part = folder / "part"
    part.write_bytes(CONTENT)
    archive.write(folder / "hostile", manifest, [part])
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
def test_a_manifest_of_other_types_or_with_control_characters_is_refused(
    wrong: dict[str, object], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    hostile = _write(tmp_path, replace(MANIFEST, **wrong))
    with pytest.raises(CommandError, match="not a whole backup"):
        archive.extract(hostile, folder)


def test_no_line_about_an_error_steers_the_terminal(tmp_path: Path) -> None:
    done = Installation(Database(f"sqlite:///{tmp_path}/shopbell.db"), tmp_path).run("restore", "\x1b[2J.backup")
    assert done.returncode == 1
    assert done.stderr == "shopbell: there is no file \\x1b[2J.backup\n"
