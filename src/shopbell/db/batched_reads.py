"""Reads that wait at the same time share one transaction and its statements.

While one batch is read, the next one gathers. Thousands of clients that connect at the same moment then cost a few
dozen transactions, one at a time, so that they do not delay other requests.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from shopbell.db.database import Database
from shopbell.errors import StorageError

Key = TypeVar("Key")
Value = TypeVar("Value")

BATCH_LIMIT = 64
"""Most keys of one transaction, so that no batch takes long."""


class BatchedReads(Generic[Key, Value]):
    """Reads of one kind.

    Args:
        database: the database.
        read: returns for each key in their order its value, or the error that its reader gets.
    """

    def __init__(
        self, database: Database, read: Callable[[Connection, Sequence[Key]], Sequence[Value | Exception]]
    ) -> None:
        self._database = database
        self._read = read
        self._waiting: deque[tuple[Key, Callable[[Value | Exception], None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def read(self, key: Key) -> Value:
        """Return the value of one key.

        Raises:
            StorageError: the database failed.
            Exception: what ``read`` returned for the key.
        """
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()

        def settle(value: Value | Exception) -> None:
            if future.done():  # the reader has gone
                return
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)

        self.submit(key, settle)
        return await future

    def submit(self, key: Key, done: Callable[[Value | Exception], None]) -> None:
        """Read one key soon.

        Args:
            key: the key.
            done: called with the value, or with the error; must not fail.
        """
        self._waiting.append((key, done))
        if self._task is None:
            self._task = asyncio.create_task(self._read_batches())

    async def _read_batches(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH_LIMIT, len(self._waiting)))]
                values = await self._values([key for key, _ in batch])
                for (_, done), value in zip(batch, values, strict=True):
                    done(value)
        finally:
            self._task = None  # now, not when the task is done: a key that is submitted in between would wait forever

    async def _values(self, keys: Sequence[Key]) -> Sequence[Value | Exception]:
        try:
            return await self._database.read(self._read, keys)
        except StorageError as error:
            return [StorageError(*error.args) for _ in keys]
        except Exception as error:  # noqa: BLE001 - its readers get it
            if len(keys) == 1:
                return [error]
            # A bug with one key must not fail the others: each is tried alone.
            return [value for key in keys for value in await self._values([key])]
