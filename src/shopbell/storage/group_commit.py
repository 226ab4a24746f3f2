"""Group commit: what waits together is written together.

While one batch is being committed, the next one gathers; nobody waits for a batch to fill. A list of one is the plain
case.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from shopbell.errors import StorageError
from shopbell.supervision import SupervisedTask, supervise

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

_Entry = tuple[float, Item, asyncio.Future[Result]]
"""Deadline (the loop's clock), item, and where its sender waits."""

_DEADLINE_CHECK_S = 0.25

RunBatch = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]


class GroupCommit(Generic[Item, Result]):
    """A bounded queue in front of a function that writes a list of items in one transaction.

    Args:
        run_batch: writes all items in one transaction and returns, in their order, the result of each or the error that
            it alone gets; when it raises, nothing of the batch was written (or, for a StorageError, nothing is known).
        queue_limit: most items that may wait.
        batch_limit: most items of one transaction.
        timeout_s: longest wait of one item, its commit included.
        note_hanging: called again and again while a batch takes longer than that.
    """

    def __init__(
        self,
        run_batch: RunBatch[Item, Result],
        *,
        queue_limit: int,
        batch_limit: int,
        timeout_s: float,
        note_hanging: Callable[[], None] = lambda: None,
    ) -> None:
        self._run_batch = run_batch
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._timeout_s = timeout_s
        self._note_hanging = note_hanging
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._writing: list[_Entry[Item, Result]] = []
        self._arrived = asyncio.Event()
        self._task: SupervisedTask | None = None
        self._watch: SupervisedTask | None = None

    @property
    def depth(self) -> int:
        """How many items wait for their batch."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to write; needs a running event loop."""
        self._task = supervise("group commit", self._write_batches)
        self._watch = supervise("group commit deadlines", self._give_up_late)

    async def close(self) -> None:
        """Write what waits, then end."""
        if self._task is None or self._watch is None:
            return
        task, self._task = self._task, None
        self._arrived.set()
        await task.ended()
        self._watch.cancel()

    async def submit(self, item: Item) -> Result:
        """Write one item together with whatever else waits.

        Returns:
            Its result, after the commit.

        Raises:
            StorageError: the queue is full, the commit failed or took too long (503).
        """
        if self._task is None or len(self._waiting) >= self._queue_limit:
            raise StorageError("too much waits to be written")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((loop.time() + self._timeout_s, item, future))
        self._arrived.set()
        return await future

    async def _give_up_late(self) -> None:
        # One look at all four times a second: a timer for each item would cost more than writing it does.
        while True:
            await asyncio.sleep(_DEADLINE_CHECK_S)
            now_s = asyncio.get_running_loop().time()
            if self._writing and self._writing[0][0] <= now_s:
                self._note_hanging()
            for deadline_s, _, future in (*self._writing, *self._waiting):
                if deadline_s > now_s:
                    break
                _settle(future, StorageError("the write took too long"))

    async def _write_batches(self) -> None:
        while self._waiting or self._task is not None:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            # Whoever timed out or went away while still waiting is not written.
            count = min(self._batch_limit, len(self._waiting))
            taken = (self._waiting.popleft() for _ in range(count))
            self._writing = [entry for entry in taken if not entry[-1].done()]
            try:
                if self._writing:
                    await self._write(self._writing)
            except BaseException:
                # This task dies and is started again. Nothing may wait for what it took along.
                for *_, future in self._writing:
                    _settle(future, StorageError("the write did not end"))
                raise
            finally:
                self._writing = []

    async def _write(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        try:
            results = await self._run_batch([item for _, item, _ in batch])
        except StorageError as error:
            for *_, future in batch:
                _settle(future, StorageError(*error.args))
            log.warning("a batch is not confirmed as written", reason=str(error), count=len(batch))
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the senders, and the queue must go on
            if len(batch) == 1:
                _settle(batch[0][-1], error)
                return
            # One item that the database refuses must not take its neighbours along: each has a try alone.
            for entry in batch:
                await self._write([entry])
        else:
            # A mistake in the program. What it wrote is written: tried again, it would be there twice.
            if len(results) != len(batch):
                results = [RuntimeError(f"{len(results)} results for {len(batch)} items") for _ in batch]
            for (*_, future), result in zip(batch, results, strict=True):
                _settle(future, result)


def _settle(future: asyncio.Future[Result], result: Result | Exception) -> None:
    if future.done():  # the sender timed out or hung up
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
