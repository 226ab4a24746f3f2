"""The interface of stores of attachments, and what they share."""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import BinaryIO, ParamSpec, TypeVar

from shopbell.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES = 262_144
"""How much of a file is in memory at a time."""

_THREADS = 4


class Incoming:
    """A file during its upload: on the disk of this machine, not yet in the store.

    Args:
        file: a new, empty file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.length_bytes = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Write bytes. Blocks."""
        self.file.write(chunk)
        self._digest.update(chunk)
        self.length_bytes += len(chunk)


class Store(ABC):
    """A store of complete files under names such as ``12344/0193a5d2-…``.

    It has its own threads, so that a slow disk takes none from the database. Its failures are ``StorageError``.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "blobs")

    @asynccontextmanager
    async def incoming(self) -> AsyncIterator[Incoming]:
        """A file for an upload; it is deleted at the end of the block unless ``keep`` has stored it.

        Raises:
            StorageError: 503.
        """
        incoming = Incoming(await self.in_thread(self._new_file))
        try:
            yield incoming
        finally:
            await self.in_thread(self._discard, incoming.file)

    async def add(self, incoming: Incoming, chunk: bytes) -> None:
        """Add bytes to a file.

        Raises:
            StorageError: 503; for example, the disk is full.
        """
        await self.in_thread(incoming.add, chunk)

    @abstractmethod
    async def keep(self, incoming: Incoming, name: str) -> None:
        """Store a complete file durably.

        Raises:
            StorageError: 503; the file may be stored or not, but never in part.
        """

    @abstractmethod
    async def read(self, name: str) -> AsyncIterator[bytes] | None:
        """The bytes of a file in pieces; None if there is no such file.

        Raises:
            StorageError: 503; also while reading the pieces.
        """

    @abstractmethod
    async def delete(self, name: str) -> None:
        """Delete a file, if it exists.

        Raises:
            StorageError: 503.
        """

    @abstractmethod
    async def check(self) -> str:
        """Check that files can be stored.

        Returns:
            The place of the store, without secrets.

        Raises:
            StorageError: they cannot; the text says why.
        """

    async def tidy(self) -> None:  # noqa: B027 - most stores have nothing to tidy
        """Delete incomplete files of processes that were killed."""

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that blocks.

        Raises:
            StorageError: 503; it raised ``OSError``.
        """

        def run() -> T:
            return fn(*args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except OSError as error:
            raise StorageError(f"the attachment store failed ({error.strerror or type(error).__name__})") from error

    @abstractmethod
    def _new_file(self) -> BinaryIO: ...

    @abstractmethod
    def _discard(self, file: BinaryIO) -> None: ...
