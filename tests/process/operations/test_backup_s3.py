"""Backups in a bucket of an S3 service."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from harness.databases import add_postgres_programs
from harness.findings import examine
from harness.installation import Installation
from harness.ports import free_port
from harness.s3 import BUCKET, S3
from harness.shop import Shop
from harness.world import World

if TYPE_CHECKING:
    from harness.databases import Databases

PLACE = f"s3://{BUCKET}/of/acme"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A service for all tests of this file."""
    s3 = S3(tmp_path_factory.mktemp("s3"))
    s3.start()
    yield s3
    s3.stop()


@pytest.fixture
def installation(installation: Installation, engine: str, databases: "Databases", service: S3) -> Installation:
    """The installation, with access to the service, and attachments in a folder."""
    if engine == "postgresql":
        add_postgres_programs(installation, databases)
    own = {
        "SHOPBELL_ATTACHMENTS_URL": f"file://{installation.folder / 'files'}",
        "SHOPBELL_BACKUP_S3_ENDPOINT": service.endpoint,
        "SHOPBELL_BACKUP_S3_ACCESS_KEY_ID": "the-access-key",
        "SHOPBELL_BACKUP_S3_SECRET_ACCESS_KEY": "the-secret-key",
    }
    installation.settings = dict(installation.settings) | own
    return installation


def keys(service: S3) -> set[str]:
    """The names of all objects."""
    return set(re.findall("<Key>(.*?)</Key>", service.listing()))


def test_a_backup_in_a_bucket_is_sent_in_parts_and_restored(
    installation: Installation, people: World, service: S3
) -> None:
    content = b"A line of a long file.\n" * (18 * MIB // 23)
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        headers = {"token": people.token}
        upload = server.client.post("/api/attachments", files={"file": ("a.txt", content)}, headers=headers)
        attachment_id = upload.json()["attachmentId"]
        thread_id = shop.send()
    made = installation.cli("backup", "--to", PLACE)
    assert made["file"].startswith(f"{PLACE}/shopbell-")
    key = made["file"].removeprefix(f"s3://{BUCKET}/")
    assert key in keys(service)
    parts = re.search(rf"<Key>{key}</Key>.*?<ETag>.*?-(\d+).*?</ETag>", service.listing(), re.DOTALL)
    assert parts is not None
    assert int(parts[1]) == -(-made["bytes"] // (8 * MIB))
    assert int(parts[1]) > 2
    for file in (installation.folder / "files").rglob("*"):
        if file.is_file():
            file.unlink()
    with installation.serving(run_worker=False) as server:
        Shop(server, people).send()
    assert installation.cli("restore", made["file"])["warnings"] == []
    assert list(installation.folder.rglob(".shopbell-*")) == []
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        assert [row["body"] for row in shop.messages(thread_id)] == ["Hello, I need help with my order."]
        assert shop.count("threads") == 1
        link = server.client.get(f"/api/attachments/{attachment_id}", headers=headers).json()["link"]
        assert server.client.get(link).content == content


@pytest.mark.parametrize("engine", ["sqlite"])
def test_only_older_backups_of_the_same_database_are_deleted_from_a_bucket(
    installation: Installation, service: S3
) -> None:
    place = f"{PLACE}/deleted"
    first = installation.cli("backup", "--to", f"{PLACE}/first")["file"]
    series = Path(first).name.rpartition("-")[0]
    old, other = f"{series}-20200101T000000Z.tar", "of/acme/deleted/shopbell-00000000-20200101T000000Z.tar"
    deeper = f"of/acme/deleted/deeper/{old}"
    for name in (f"of/acme/deleted/{old}", other, deeper):
        httpx2.put(f"{service.endpoint}/{BUCKET}/{name}", content=b"x", trust_env=False).raise_for_status()
    done = installation.cli("backup", "--to", place, "--keep", "1d")
    assert done["deleted"] == [old]
    left = {name for name in keys(service) if "deleted" in name}
    assert left == {done["file"].removeprefix(f"s3://{BUCKET}/"), other, deeper}


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_settings_for_attachments_apply_if_backups_have_none(
    installation: Installation, service: S3, people: World
) -> None:
    settings = {name: value for name, value in installation.settings.items() if "BACKUP_S3" not in name}
    settings |= {f"SHOPBELL_{name.upper()}": value for name, value in service.settings.items()}
    bare = replace(installation, settings=settings | {"SHOPBELL_BACKUP_TO": f"{PLACE}/shared"})
    with bare.serving(run_worker=False) as server:
        files = {"file": ("a.txt", b"in the bucket")}
        server.client.post("/api/attachments", files=files, headers={"token": people.token}).raise_for_status()
    (warning,) = bare.cli("backup")["warnings"]
    assert "the backup has no attachments" in warning
    assert any(name.startswith("of/acme/shared/shopbell-") for name in keys(service))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_unreachable_service_is_reported_without_secrets(installation: Installation) -> None:
    settings = dict(installation.settings) | {"SHOPBELL_BACKUP_S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    broken = replace(installation, settings=settings | {"SHOPBELL_BACKUP_TO": PLACE})
    done = broken.run("backup")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"shopbell: {PLACE} failed (")
    assert "the-" not in line
    assert "SHOPBELL_BACKUP_S3_" in line
    code, findings = examine(broken)
    assert code == 1
    assert findings["backups"][0]["level"] == "error"


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("url", [f"s3://{BUCKET}", f"s3://{BUCKET}/no/such/file.tar"])
def test_a_restore_of_a_missing_object_changes_nothing(installation: Installation, url: str) -> None:
    before = installation.database.rows("SELECT * FROM organizations")
    done = installation.run("restore", url)
    assert done.returncode in (1, 2)
    assert "s3://" in done.stderr
    assert installation.database.rows("SELECT * FROM organizations") == before
