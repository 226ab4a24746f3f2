"""What every store of bytes promises, and what they share."""

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
"""How much of a file is in memory at once."""

_THREADS = 4


class Incoming:
    """A file while it arrives: on this machine's disk, not yet in the store.

    Args:
        file: empty, and nobody else's.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.length_bytes = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what has arrived so far, as hexadecimal digits."""
        return self._digest.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Write what has arrived. Blocks."""
        self.file.write(chunk)
        self._digest.update(chunk)
        self.length_bytes += len(chunk)


class Store(ABC):
    """A store of bytes under names such as ``12344/0193a5d2-…``; whatever is in it was put there whole.

    It has threads of its own: a slow disk takes none from the database. All that fails in it is a ``StorageError``.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "blobs")

    @asynccontextmanager
    async def incoming(self) -> AsyncIterator[Incoming]:
        """A place for a file while it arrives; what was not kept by the end of the block is gone.

        Raises:
            StorageError: 503.
        """
        incoming = Incoming(await self.in_thread(self._new_file))
        try:
            yield incoming
        finally:
            await self.in_thread(self._discard, incoming.file)

    async def add(self, incoming: Incoming, chunk: bytes) -> None:
        """Add to a file what has arrived of it.

        Raises:
            StorageError: 503, the disk is full, say.
        """
        await self.in_thread(incoming.add, chunk)

    @abstractmethod
    async def keep(self, incoming: Incoming, name: str) -> None:
        """Put a file that has arrived into the store; when this returns, it is there for good.

        Raises:
            StorageError: 503; it may be there or not, but never a part of it.
        """

    @abstractmethod
    async def read(self, name: str) -> AsyncIterator[bytes] | None:
        """The bytes of a file, piece by piece; None when there is none of that name.

        Raises:
            StorageError: 503, before the first piece; what fails later ends the pieces with an error.
        """

    @abstractmethod
    async def delete(self, name: str) -> None:
        """Delete a file; that there is none is just as well.

        Raises:
            StorageError: 503.
        """

    @abstractmethod
    async def check(self) -> str:
        """Try whether files can be put here.

        Returns:
            Where this is, without any secret.

        Raises:
            StorageError: they cannot; the text says why.
        """

    async def tidy(self) -> None:  # noqa: B027 - most stores have nothing to tidy
        """Take away what uploads left behind whose process was killed."""

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what blocks.

        Raises:
            StorageError: 503, the system refused.
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
