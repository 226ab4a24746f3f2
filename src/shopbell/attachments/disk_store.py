"""A store in a folder. Files are readable by their owner only, and synced to the disk before they count as stored."""

import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from shopbell.attachments.store import CHUNK_BYTES, Incoming, Store
from shopbell.security.files import make_private_folder, sync_folder

INCOMING = "incoming"
"""The folder of incomplete files: on the same disk, because only there a rename is atomic."""

_LEFT_OVER_AFTER_S = 24 * 60 * 60


class DiskStore(Store):
    """A folder.

    Args:
        folder: its absolute path; it is created for the first file.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._synced: set[Path] = set()

    async def keep(self, incoming: Incoming, name: str) -> None:
        """Sync it and rename it."""
        await self.in_thread(self._keep, incoming.file, self.folder / name)

    async def read(self, name: str) -> AsyncIterator[bytes] | None:
        """Read it after opening it: a response that has started cannot report that it is missing."""
        path = self.folder / name
        return self._pieces(path) if await self.in_thread(path.is_file) else None

    async def delete(self, name: str) -> None:
        """Delete it."""
        await self.in_thread((self.folder / name).unlink, missing_ok=True)

    async def check(self) -> str:
        """Try to create a file, if the folder exists."""
        await self.in_thread(self._try)
        return str(self.folder)

    async def tidy(self) -> None:
        """Delete incomplete files that are older than a day."""
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
        # Not only if it is missing: another thread or process may have made it, and not have synced it yet.
        if path.parent not in self._synced or not path.parent.is_dir():
            make_private_folder(path.parent)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
            self._synced.add(path.parent)
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
            folder = folder.parent  # it is created when needed, if permissions allow it
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".shopbell-"):
            pass

    def _tidy(self) -> None:
        folder = self.folder / INCOMING
        if not folder.is_dir():
            return
        old_s = time.time() - _LEFT_OVER_AFTER_S
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # it is complete, or another process deleted it
                if path.stat().st_mtime < old_s:
                    path.unlink()
