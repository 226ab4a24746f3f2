"""Group commit: items that wait at the same time are written in one transaction.

While one batch is committed, the next one gathers. An item never waits for its batch to fill.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import structlog

from shopbell.errors import StorageError
from shopbell.runtime.supervision import SupervisedTask, supervise

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

Done = Callable[[Result | Exception], None]
"""Called once with the result of an item, or with its error."""


class Entry(Generic[Item, Result]):
    """An item in the queue.

    Args:
        deadline_s: when it times out, in seconds of the loop's clock.
        item: the item.
        done: its sender's callback; None if the sender wants no result any more. Then the item need not be written.
    """

    __slots__ = ("deadline_s", "done", "item")

    def __init__(self, deadline_s: float, item: Item, done: Done[Result]) -> None:
        self.deadline_s = deadline_s
        self.item = item
        self.done: Done[Result] | None = done

    def settle(self, result: Result | Exception) -> None:
        """Call back, unless this was done before."""
        done, self.done = self.done, None
        if done is not None:
            try:
                done(result)
            except Exception as error:  # a bug in one callback must not fail the other items
                log.error("bug", job="report a write", exc_info=error)


_DEADLINE_CHECK_S = 0.25


class GroupCommit(ABC, Generic[Item, Result]):
    """A bounded queue of items; a subclass writes a batch of them in one transaction.

    Args:
        queue_limit: most items that may wait.
        batch_limit: most items of one transaction.
        timeout_s: longest wait of one item, its commit included.
    """

    def __init__(self, *, queue_limit: int, batch_limit: int, timeout_s: float) -> None:
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._timeout_s = timeout_s
        self._waiting: deque[Entry[Item, Result]] = deque()
        self._writing: list[Entry[Item, Result]] = []
        self._arrived = asyncio.Event()
        self._task: SupervisedTask | None = None
        self._watch: SupervisedTask | None = None

    @property
    def depth(self) -> int:
        """Number of items that wait for a batch."""
        return len(self._waiting)

    def start(self) -> None:
        """Start to write; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = supervise("group commit", self._write_batches)
        self._watch = supervise("group commit deadlines", self._expire_late)

    async def close(self) -> None:
        """Write all waiting items, then stop."""
        if self._task is None or self._watch is None:
            return
        task, self._task = self._task, None
        self._arrived.set()
        await task.ended()
        self._watch.cancel()

    def submit(self, item: Item, done: Done[Result]) -> Entry[Item, Result]:
        """Write one item, together with the others that wait.

        Args:
            item: the item.
            done: called after the commit, or with the ``StorageError`` of a commit that failed or timed out (503). It
                must not raise.

        Raises:
            StorageError: the queue is full (503).
        """
        if self._task is None or len(self._waiting) >= self._queue_limit:
            raise StorageError("the write queue is full")
        entry: Entry[Item, Result] = Entry(self._loop.time() + self._timeout_s, item, done)
        self._waiting.append(entry)
        self._arrived.set()
        return entry

    async def submit_and_wait(self, item: Item) -> Result:
        """Write one item as ``submit`` does, and return its result after the commit.

        Raises:
            StorageError: the queue is full, or the commit failed or timed out (503).
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        entry = self.submit(item, partial(_resolve, future))
        try:
            return await future
        finally:
            entry.done = None

    @abstractmethod
    async def _write_batch(self, batch: Sequence[Item]) -> Sequence[Result | Exception]:
        """Write all items in one transaction; :meth:`_write` calls this.

        Returns:
            The result of each item in their order, or the error that its sender alone gets.

        Raises:
            StorageError: it is not known whether the batch was written.
            Exception: nothing of the batch was written; each item is tried alone.
        """

    def _on_stalled(self) -> None:
        """Note that a batch takes longer than ``timeout_s``; called four times a second while it does."""

    async def _expire_late(self) -> None:
        # All deadlines are checked four times a second: a timer for each item would cost more than writing it.
        while True:
            await asyncio.sleep(_DEADLINE_CHECK_S)
            now_s = self._loop.time()
            if self._writing and self._writing[0].deadline_s <= now_s:
                self._on_stalled()
            for entry in (*self._writing, *self._waiting):
                if entry.deadline_s > now_s:
                    break
                entry.settle(StorageError("the write took too long"))

    async def _write_batches(self) -> None:
        while self._waiting or self._task is not None:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            # An item is not written if it has timed out, or if its sender has stopped waiting.
            count = min(self._batch_limit, len(self._waiting))
            taken = (self._waiting.popleft() for _ in range(count))
            self._writing = [entry for entry in taken if entry.done is not None]
            try:
                if self._writing:
                    await self._write(self._writing)
            except BaseException:
                # This task dies and is started again. No sender may wait for ever for an item that it had taken.
                for entry in self._writing:
                    entry.settle(StorageError("the write was interrupted"))
                raise
            finally:
                self._writing = []

    async def _write(self, batch: Sequence[Entry[Item, Result]]) -> None:
        try:
            results = await self._write_batch([entry.item for entry in batch])
        except StorageError as error:
            log.warning("batch failed; it may be written or not", reason=str(error), count=len(batch))
            results = [StorageError(*error.args) for _ in batch]
        except Exception as error:  # noqa: BLE001 - the senders get the error, and the queue must go on
            if len(batch) > 1:
                # One item that the database refuses must not fail the others: each is tried alone.
                for entry in batch:
                    await self._write([entry])
                return
            results = [error]
        # A bug in the program. The batch is committed, so trying it again would store it twice.
        if len(results) != len(batch):
            results = [RuntimeError(f"{len(results)} results for {len(batch)} items") for _ in batch]
        # The next batch begins before the senders of this one get their results.
        self._loop.call_soon(_settle_all, batch, results)


def _settle_all(batch: Sequence[Entry[Item, Result]], results: Sequence[Result | Exception]) -> None:
    for entry, result in zip(batch, results, strict=True):
        entry.settle(result)


def _resolve(future: asyncio.Future[Result], result: Result | Exception) -> None:
    if future.done():  # the sender was cancelled, and has not noticed yet
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
