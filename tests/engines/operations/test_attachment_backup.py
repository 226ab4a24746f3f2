"""Backups contain attachments, and a restore changes no existing file."""

import io
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import make_url

from harness.installation import Installation
from harness.shop import Shop
from harness.world import World
from shopbell.errors import CommandError
from shopbell.operations.backups import attachment_archive

NAME = "12344/0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def attachments_of(installation: Installation) -> Path:
    """The folder of its files."""
    return Path(make_url(installation.database.url).database or "").with_name("attachments")


def upload(shop: Shop, content: bytes) -> str:
    """Upload a file; returns its id."""
    headers = {"token": shop.world.token}
    answer = shop.server.client.post("/api/attachments", files={"file": ("a.txt", content)}, headers=headers)
    attachment_id: str = answer.json()["attachmentId"]
    return attachment_id


def download(shop: Shop, attachment_id: str) -> bytes | None:
    """The bytes of a file, when it is there."""
    headers = {"token": shop.world.token}
    answer = shop.server.client.get(f"/api/attachments/{attachment_id}", headers=headers)
    return shop.server.client.get(answer.json()["link"]).content if answer.status_code == 200 else None


def test_a_restore_returns_the_files_of_messages(installation: Installation, people: World, tmp_path: Path) -> None:
    file = tmp_path / "shop.backup"
    with installation.serving() as server:
        shop = Shop(server, people)
        kept, lost = upload(shop, b"kept"), upload(shop, b"lost meanwhile")
        assert installation.cli("backup", file)["warnings"] == []
        late = upload(shop, b"too late")
    folder = attachments_of(installation)
    shutil.rmtree(folder)
    assert installation.cli("restore", file)["warnings"] == []
    with installation.serving() as server:
        shop = Shop(server, people)
        assert [download(shop, each) for each in (kept, lost, late)] == [b"kept", b"lost meanwhile", None]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_restore_changes_no_existing_file(installation: Installation, people: World, tmp_path: Path) -> None:
    with installation.serving() as server:
        upload(Shop(server, people), b"kept")
    installation.cli("backup", tmp_path / "shop.backup")
    (present,) = [path for path in attachments_of(installation).rglob("*") if path.is_file()]
    present.write_bytes(b"another")
    (present.parent / "of-nobody").write_bytes(b"x")
    installation.cli("restore", tmp_path / "shop.backup")
    assert present.read_bytes() == b"another"
    assert {path.name for path in present.parent.iterdir()} == {present.name, "of-nobody"}


def test_a_missing_file_is_reported_and_stops_nothing(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    with installation.serving() as server:
        upload(Shop(server, people), b"lost")
        upload(Shop(server, people), b"kept")
    next(path for path in attachments_of(installation).rglob("*") if path.is_file()).unlink()
    (warning,) = installation.cli("backup", tmp_path / "shop.backup")["warnings"]
    assert warning.startswith("1 of 2 attachments are missing in ")


def test_files_in_other_storage_are_reported_as_missing(
    installation: Installation, people: World, tmp_path: Path
) -> None:
    with installation.serving() as server:
        upload(Shop(server, people), b"hello")
    whole, bare = tmp_path / "whole.backup", tmp_path / "bare.backup"
    installation.cli("backup", whole)
    installation.settings = dict(installation.settings) | {"SHOPBELL_ATTACHMENTS_URL": "s3://files/x"}
    (warning,) = installation.cli("backup", bare)["warnings"]
    assert "s3://files/x" in warning
    assert installation.cli("restore", bare)["warnings"] == []
    (warning,) = installation.cli("restore", whole)["warnings"]
    assert "SHOPBELL_ATTACHMENTS_URL" in warning


@pytest.mark.parametrize("name", ["../../outside", "12344/../../x", "/etc/x", NAME.upper(), NAME + "/x", "link"])
def test_unknown_members_of_an_archive_are_not_extracted(tmp_path: Path, name: str, engine: str) -> None:
    part = tmp_path / attachment_archive.MEMBER
    with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as tar:
        header = tarfile.TarInfo(NAME if name == "link" else name)
        header.size, header.mode = 1, 0o600
        if name == "link":
            header.type, header.linkname, header.size = tarfile.SYMTYPE, "/etc/passwd", 0
        tar.addfile(header, io.BytesIO(b"x"))
    before = sorted(tmp_path.parent.iterdir())
    with pytest.raises(CommandError):
        attachment_archive.unpack(part, tmp_path / "attachments")
    assert list((tmp_path / "attachments").rglob("*")) == []
    assert sorted(tmp_path.parent.iterdir()) == before


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.CONTTYPE])
def test_a_tar_with_other_than_plain_headers_is_refused(tmp_path: Path, kind: bytes, engine: str) -> None:
    part = tmp_path / attachment_archive.MEMBER
    header = tarfile.TarInfo(NAME)
    header.size, header.mode, header.type = 1, 0o600, kind
    plain = tarfile.TarInfo(NAME)
    plain.mode = 0o600
    blocks = [header.tobuf(tarfile.GNU_FORMAT), b"x".ljust(512, b"\0"), plain.tobuf(tarfile.GNU_FORMAT), bytes(1024)]
    part.write_bytes(b"".join(blocks))
    with pytest.raises(CommandError):
        attachment_archive.unpack(part, tmp_path / "attachments")
    assert list((tmp_path / "attachments").rglob("*")) == []


def test_a_tar_that_is_cut_off_is_refused_with_an_explanation(tmp_path: Path, engine: str) -> None:
    part = tmp_path / attachment_archive.MEMBER
    header = tarfile.TarInfo(NAME)
    header.size, header.mode = 4096, 0o600
    part.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"x" * 512)
    with pytest.raises(CommandError):
        attachment_archive.unpack(part, tmp_path / "attachments")
    assert not (tmp_path / "attachments" / NAME).exists()
