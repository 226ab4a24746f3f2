"""A folder as a store: each file its owner's alone, and synced to the disk before anybody counts on it."""

import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from shopbell.blobs.store import CHUNK_BYTES, Incoming, Store
from shopbell.private_files import make_private_folder, sync_folder

INCOMING = "incoming"
"""The folder of what has not arrived yet: beside the files, because only on one disk a rename is one step."""

_LEFT_OVER_AFTER_S = 24 * 60 * 60


class DiskStore(Store):
    """A folder.

    Args:
        folder: its absolute path; made when something is first put there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def keep(self, incoming: Incoming, name: str) -> None:
        """Sync it, and give it its name."""
        await self.in_thread(self._keep, incoming.file, self.folder / name)

    async def read(self, name: str) -> AsyncIterator[bytes] | None:
        """Read it, and look for it first: an answer that has begun cannot say any more that there is none."""
        path = self.folder / name
        return self._pieces(path) if await self.in_thread(path.is_file) else None

    async def delete(self, name: str) -> None:
        """Delete it."""
        await self.in_thread((self.folder / name).unlink, missing_ok=True)

    async def check(self) -> str:
        """Try to make a file, if there is a folder yet."""
        await self.in_thread(self._try)
        return str(self.folder)

    async def tidy(self) -> None:
        """Delete what has been arriving for a day."""
        await self.in_thread(self._tidy)

    def _new_file(self) -> BinaryIO:
        make_private_folder(self.folder / INCOMING)
        file = tempfile.NamedTemporaryFile(dir=self.folder / INCOMING, delete=False)  # noqa: SIM115 - _discard closes it
        return cast("BinaryIO", file)

    def _discard(self, file: BinaryIO) -> None:
        file.close()
        Path(file.name).unlink(missing_ok=True)

    def _keep(self, file: BinaryIO, path: Path) -> None:
        file.flush()
        os.fsync(file.fileno())
        if not path.parent.is_dir():
            make_private_folder(path.parent)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        Path(file.name).rename(path)
        sync_folder(path.parent)

    async def _pieces(self, path: Path) -> AsyncIterator[bytes]:
        file = await self.in_thread(path.open, "rb")
        try:
            while piece := await self.in_thread(file.read, CHUNK_BYTES):
                yield piece
        finally:
            file.close()

    def _try(self) -> None:
        folder = self.folder
        while not folder.exists():
            folder = folder.parent  # it is made when it is needed, if that is allowed there
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".shopbell-"):
            pass

    def _tidy(self) -> None:
        folder = self.folder / INCOMING
        if not folder.is_dir():
            return
        old_s = time.time() - _LEFT_OVER_AFTER_S
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # it has just arrived, or another process was quicker
                if path.stat().st_mtime < old_s:
                    path.unlink()
