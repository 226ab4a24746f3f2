"""A stored file survives a power cut, with the folder that it is in."""

import asyncio
from pathlib import Path

import pytest

from shopbell.attachments import disk_store
from shopbell.attachments.disk_store import DiskStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were synced, in order."""
    folders: list[Path] = []
    monkeypatch.setattr(disk_store, "sync_folder", folders.append)
    return folders


async def keep(store: DiskStore, *names: str) -> None:
    """Store files."""
    for name in names:
        async with store.incoming() as incoming:
            await store.add(incoming, b"content")
            await store.keep(incoming, name)


def test_a_folder_that_another_thread_has_just_made_is_synced_too(tmp_path: Path, synced: list[Path]) -> None:
    store = DiskStore(tmp_path / "files")
    (store.folder / "12344").mkdir(parents=True)
    asyncio.run(keep(store, "12344/one"))
    store.close()
    assert synced == [store.folder, tmp_path, store.folder / "12344"]


def test_later_files_sync_only_their_folder(tmp_path: Path, synced: list[Path]) -> None:
    store = DiskStore(tmp_path / "files")
    asyncio.run(keep(store, "12344/one"))
    synced.clear()
    asyncio.run(keep(store, "12344/two"))
    store.close()
    assert synced == [store.folder / "12344"]
