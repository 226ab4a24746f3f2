"""The attachment stores: a folder and a real S3 service."""

import asyncio
import os
import random
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.attachment_stores import MIB, put, read, store_settings
from harness.s3 import S3
from shopbell.attachments.disk_store import DiskStore
from shopbell.attachments.open_store import open_store
from shopbell.attachments.store import Store
from shopbell.errors import SettingsError, StorageError
from shopbell.settings.settings import Settings

CONTENT = random.Random(1).randbytes(20 * MIB + 7)  # several parts of an upload in parts


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A service for all tests of this file."""
    service = S3(tmp_path_factory.mktemp("s3"))
    service.start()
    yield service
    service.stop()


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of either kind."""
    given = request.getfixturevalue("s3").settings if request.param == "s3" else {}
    store = open_store(store_settings(tmp_path, **given))
    assert store is not None
    yield store
    store.close()


@pytest.mark.parametrize("length_bytes", [1, MIB, len(CONTENT)])
def test_a_stored_file_is_read_back_byte_for_byte(store: Store, length_bytes: int) -> None:
    name = f"1/{length_bytes}"
    asyncio.run(put(store, name, CONTENT[:length_bytes]))
    assert asyncio.run(read(store, name)) == CONTENT[:length_bytes]


def test_files_are_read_in_small_chunks(store: Store) -> None:
    async def largest() -> int:
        await put(store, "1/pieces", CONTENT)
        pieces = await store.read("1/pieces")
        assert pieces is not None
        return max([len(piece) async for piece in pieces])

    assert asyncio.run(largest()) <= 2 * MIB


def test_a_missing_file_raises_an_error_and_can_be_deleted(store: Store) -> None:
    async def go() -> None:
        assert await read(store, "1/never") is None
        await store.delete("1/never")
        await put(store, "1/once", b"x")
        await store.delete("1/once")
        assert await read(store, "1/once") is None

    asyncio.run(go())


def test_an_interrupted_write_leaves_no_file(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async def break_off() -> None:
        async with store.incoming() as incoming:
            await store.add(incoming, CONTENT)
            raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError):
        asyncio.run(break_off())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    if not isinstance(store, DiskStore):
        assert "<Upload>" not in request.getfixturevalue("s3").listing("uploads")


def test_files_on_disk_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "attachments")
    before = os.umask(0)
    try:
        asyncio.run(put(store, "12344/name", b"x"))
    finally:
        os.umask(before)
        store.close()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "attachments").rglob("*")}
    assert modes == {"incoming": 0o700, "12344": 0o700, "name": 0o600}


def test_what_a_killed_process_left_is_tidied_away_after_a_day(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    asyncio.run(store.tidy())  # nothing was ever uploaded
    (tmp_path / "incoming").mkdir()
    for name, age_s in (("old", 25 * 3_600), ("new", 23 * 3_600)):
        (tmp_path / "incoming" / name).write_bytes(b"x")
        os.utime(tmp_path / "incoming" / name, (time.time(), time.time() - age_s))
    asyncio.run(store.tidy())
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["new"]
    store.close()


def test_a_folder_that_may_not_be_written_is_a_failure_of_storage(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_bytes(b"")
    store = DiskStore(tmp_path / "a-file" / "attachments")
    with pytest.raises(StorageError):
        asyncio.run(put(store, "1/x", b"x"))
    store.close()


WRONG_ADDRESSES = (
    *("data/files", "/data/files", "file://", "file:///", "file://host/files", "file:///files#x", "s3://", "s3:///x"),
    *("s3://key:secret@files", "s3://files/x?a=b", "s3://[files", "https://files.example.com"),
)


@pytest.mark.parametrize("url", WRONG_ADDRESSES)
def test_an_address_that_is_none_is_refused_without_being_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        open_store(store_settings(tmp_path, attachments_url=url))
    assert str(error.value).startswith("SHOPBELL_ATTACHMENTS_URL: must look like ")
    assert "secret" not in str(error.value)


def test_without_an_address_files_lie_beside_the_sqlite_file_and_nowhere_with_postgresql(tmp_path: Path) -> None:
    store = open_store(store_settings(tmp_path))
    assert isinstance(store, DiskStore)
    assert store.folder == tmp_path / "attachments"
    store.close()
    postgresql = {"database_url": "postgresql://shopbell@localhost/shopbell", "secret_key": "0" * 64}
    assert open_store(Settings.model_validate(postgresql)) is None
