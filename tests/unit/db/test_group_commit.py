"""Group commit: batches, refusals and failures."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from shopbell.db.group_commit import GroupCommit
from shopbell.errors import StorageError

T = TypeVar("T")


class Disk:
    """Writes batches of numbers, one batch at a time and only when told that it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refused: set[int] = set()
        self.failing = False
        self.cancelled = False
        self.swallowed: int | None = None

    async def write(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Double each number; 13 is an outcome of its own, and what is refused takes its batch along."""
        self.batches.append(list(items))
        await self.gate.wait()
        if self.failing:
            raise StorageError("the database failed")
        if self.cancelled:
            raise asyncio.CancelledError
        if self.refused & set(items):
            raise ValueError("a statement is wrong")
        return [KeyError(item) if item == 13 else item * 2 for item in items if item != self.swallowed]


class Numbers(GroupCommit[int, int]):
    """Numbers that wait to be written to a disk."""

    def __init__(self, disk: Disk, *, queue_limit: int = 100, batch_limit: int = 50, timeout_s: float = 30) -> None:
        super().__init__(queue_limit=queue_limit, batch_limit=batch_limit, timeout_s=timeout_s)
        self.disk = disk
        self.times_hanging = 0

    async def _write_batch(self, batch: Sequence[int]) -> Sequence[int | Exception]:
        return await self.disk.write(batch)

    def _on_stalled(self) -> None:
        self.times_hanging += 1


def _run(
    test: Callable[[Disk, Numbers], Awaitable[T]],
    *,
    queue_limit: int = 100,
    batch_limit: int = 50,
    timeout_s: float = 30,
) -> T:
    async def run() -> T:
        disk = Disk()
        commit = Numbers(disk, queue_limit=queue_limit, batch_limit=batch_limit, timeout_s=timeout_s)
        commit.start()
        async with asyncio.timeout(60):
            result = await test(disk, commit)
        disk.gate.set()
        await commit.close()
        return result

    return asyncio.run(run())


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - what is waited for is inside what is tested
        await asyncio.sleep(0)


async def _while_one_is_written(disk: Disk, commit: Numbers, items: Sequence[int]) -> list[Any]:
    """Submit the items while an earlier one, 0, is being written; then let the disk go on."""
    disk.gate.clear()
    first = asyncio.create_task(commit.submit_and_wait(0))
    await _until(lambda: bool(disk.batches))
    others = [asyncio.create_task(commit.submit_and_wait(item)) for item in items]
    await _until(lambda: commit.depth == len(items))
    disk.gate.set()
    assert await first == 0
    return await asyncio.gather(*others, return_exceptions=True)


def test_a_single_item_is_written_at_once() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        assert await commit.submit_and_wait(7) == 14
        assert disk.batches == [[7]]

    _run(test)


def test_items_that_arrive_during_a_commit_share_the_next_one() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        assert await _while_one_is_written(disk, commit, [1, 2, 3]) == [2, 4, 6]
        assert disk.batches == [[0], [1, 2, 3]]

    _run(test)


def test_a_batch_has_a_maximum_size_and_keeps_arrival_order() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        await _while_one_is_written(disk, commit, range(1, 6))
        assert disk.batches == [[0], [1, 2], [3, 4], [5]]

    _run(test, batch_limit=2)


def test_a_full_queue_refuses_at_once() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.gate.clear()
        tasks = [asyncio.create_task(commit.submit_and_wait(0))]
        await _until(lambda: bool(disk.batches))
        tasks += [asyncio.create_task(commit.submit_and_wait(item)) for item in (1, 2)]
        await _until(lambda: commit.depth == 2)
        with pytest.raises(StorageError, match="the write queue is full"):
            await commit.submit_and_wait(3)
        disk.gate.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4]

    _run(test, queue_limit=2)


def test_an_item_that_waits_too_long_is_refused_and_not_written() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.gate.clear()
        results = await asyncio.gather(commit.submit_and_wait(1), commit.submit_and_wait(2), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        late = asyncio.create_task(commit.submit_and_wait(3))
        await asyncio.sleep(0)
        disk.gate.set()
        assert await late == 6
        # 1 and 2 were one batch, or 1 was being written while 2 waited; none was taken up again.
        assert sorted(item for batch in disk.batches for item in batch) in ([1, 2, 3], [1, 3])

    _run(test, timeout_s=1)


def test_a_cancelled_item_is_not_written() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.gate.clear()
        first = asyncio.create_task(commit.submit_and_wait(0))
        await _until(lambda: bool(disk.batches))
        gone, stays = asyncio.create_task(commit.submit_and_wait(1)), asyncio.create_task(commit.submit_and_wait(2))
        await _until(lambda: commit.depth == 2)
        gone.cancel()
        await asyncio.wait([gone])
        disk.gate.set()
        assert [await first, await stays] == [0, 4]
        assert disk.batches == [[0], [2]]

    _run(test)


def test_a_refused_item_does_not_fail_the_rest_of_its_batch() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.refused = {2}
        one, two, three = await _while_one_is_written(disk, commit, [1, 2, 3])
        assert (one, type(two), three) == (2, ValueError, 6)
        assert disk.batches == [[0], [1, 2, 3], [1], [2], [3]]

    _run(test)


def test_each_item_gets_its_own_result() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        one, unlucky, two = await _while_one_is_written(disk, commit, [1, 13, 2])
        assert (one, type(unlucky), two) == (2, KeyError, 4)

    _run(test)


def test_a_database_failure_fails_its_batch_and_not_the_next_one() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.failing = True
        results = await asyncio.gather(*map(commit.submit_and_wait, (1, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        assert sorted(item for batch in disk.batches for item in batch) == [1, 2], "a failure is not tried again"
        disk.failing = False
        assert await commit.submit_and_wait(3) == 6

    _run(test)


def test_a_wrong_number_of_results_fails_the_batch_and_not_the_next_one() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.swallowed = 2
        one, two = await _while_one_is_written(disk, commit, [1, 2])
        assert [type(one), type(two)] == [RuntimeError, RuntimeError]
        assert disk.batches == [[0], [1, 2]], "what may be written is not written again"
        assert await commit.submit_and_wait(3) == 6

    _run(test)


def test_a_crash_of_the_writer_fails_its_batch_and_not_the_next_one() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.cancelled = True
        results = await asyncio.gather(*map(commit.submit_and_wait, (1, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        disk.cancelled = False
        assert await commit.submit_and_wait(3) == 6

    _run(test)


def test_a_callback_gets_the_result_after_the_commit() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        told: list[int | Exception] = []
        disk.gate.clear()
        commit.submit(1, told.append)
        await _until(lambda: bool(disk.batches))
        assert told == []
        disk.gate.set()
        await _until(lambda: bool(told))
        assert told == [2]

    _run(test)


def test_a_bug_in_one_callback_does_not_fail_the_other_items() -> None:
    def fail(_: object) -> None:
        raise LookupError

    async def test(disk: Disk, commit: Numbers) -> None:
        told: list[int | Exception] = []
        disk.gate.clear()
        commit.submit(0, fail)
        await _until(lambda: bool(disk.batches))
        for item, done in ((1, fail), (2, told.append), (3, fail), (4, told.append)):
            commit.submit(item, done)
        disk.gate.set()
        await _until(lambda: len(told) == 2)
        assert told == [4, 8]
        assert await commit.submit_and_wait(5) == 10

    _run(test)


def test_a_callback_is_called_once_even_if_the_commit_ends_after_the_deadline() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        told: list[int | Exception] = []
        disk.gate.clear()
        commit.submit(1, told.append)
        await _until(lambda: bool(told))
        disk.gate.set()
        assert await commit.submit_and_wait(2) == 4
        assert [type(each) for each in told] == [StorageError]

    _run(test, timeout_s=0.1)


def test_a_hanging_batch_is_reported_while_it_hangs() -> None:
    async def run() -> None:
        disk = Disk()
        commit = Numbers(disk, timeout_s=0.1)
        commit.start()
        assert await commit.submit_and_wait(1) == 2
        assert commit.times_hanging == 0
        disk.gate.clear()
        with pytest.raises(StorageError):
            await commit.submit_and_wait(2)
        while commit.times_hanging < 3:  # noqa: ASYNC110 - what is waited for is inside what is tested
            await asyncio.sleep(0.01)
        disk.gate.set()
        await commit.close()

    asyncio.run(run())


def test_closing_writes_waiting_items_and_refuses_new_ones() -> None:
    async def test(disk: Disk, commit: Numbers) -> None:
        disk.gate.clear()
        tasks = [asyncio.create_task(commit.submit_and_wait(item)) for item in (1, 2, 3)]
        await _until(lambda: commit.depth >= 2 or bool(disk.batches))
        closing = asyncio.create_task(commit.close())
        await asyncio.sleep(0)
        with pytest.raises(StorageError):
            await commit.submit_and_wait(4)
        disk.gate.set()
        await closing
        assert await asyncio.gather(*tasks) == [2, 4, 6]

    _run(test)
