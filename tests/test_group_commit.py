"""What waits together is written together; nobody waits for ever, and nobody pays for another's mistake."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from shopbell.errors import StorageError
from shopbell.storage.group_commit import GroupCommit

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


def _run(
    test: Callable[[Disk, "GroupCommit[int, int]"], Awaitable[T]],
    *,
    queue_limit: int = 100,
    batch_limit: int = 50,
    timeout_s: float = 30,
) -> T:
    async def run() -> T:
        disk = Disk()
        commit: GroupCommit[int, int] = GroupCommit(
            disk.write, queue_limit=queue_limit, batch_limit=batch_limit, timeout_s=timeout_s
        )
        commit.start()
        result = await test(disk, commit)
        disk.gate.set()
        await commit.close()
        return result

    return asyncio.run(run())


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - what is waited for is inside what is tested
        await asyncio.sleep(0)


async def _while_one_is_written(disk: Disk, commit: "GroupCommit[int, int]", items: Sequence[int]) -> list[Any]:
    """Submit the items while an earlier one, 0, is being written; then let the disk go on."""
    disk.gate.clear()
    first = asyncio.create_task(commit.submit(0))
    await _until(lambda: bool(disk.batches))
    others = [asyncio.create_task(commit.submit(item)) for item in items]
    await _until(lambda: commit.depth == len(items))
    disk.gate.set()
    assert await first == 0
    return await asyncio.gather(*others, return_exceptions=True)


def test_one_item_is_written_at_once() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        assert await commit.submit(7) == 14
        assert disk.batches == [[7]]

    _run(test)


def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        assert await _while_one_is_written(disk, commit, [1, 2, 3]) == [2, 4, 6]
        assert disk.batches == [[0], [1, 2, 3]]

    _run(test)


def test_a_batch_has_a_largest_size_and_keeps_the_order_of_arrival() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        await _while_one_is_written(disk, commit, range(1, 6))
        assert disk.batches == [[0], [1, 2], [3, 4], [5]]

    _run(test, batch_limit=2)


def test_a_full_queue_refuses_at_once() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.gate.clear()
        tasks = [asyncio.create_task(commit.submit(0))]
        await _until(lambda: bool(disk.batches))
        tasks += [asyncio.create_task(commit.submit(item)) for item in (1, 2)]
        await _until(lambda: commit.depth == 2)
        with pytest.raises(StorageError, match="too much waits"):
            await commit.submit(3)
        disk.gate.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4]

    _run(test, queue_limit=2)


def test_an_item_that_waits_too_long_is_refused_and_never_written() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.gate.clear()
        results = await asyncio.gather(commit.submit(1), commit.submit(2), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        late = asyncio.create_task(commit.submit(3))
        await asyncio.sleep(0)
        disk.gate.set()
        assert await late == 6
        # 1 and 2 were one batch, or 1 was being written while 2 waited; none was taken up again.
        assert sorted(item for batch in disk.batches for item in batch) in ([1, 2, 3], [1, 3])

    _run(test, timeout_s=1)


def test_who_went_away_while_waiting_is_not_written() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.gate.clear()
        first = asyncio.create_task(commit.submit(0))
        await _until(lambda: bool(disk.batches))
        gone, stays = asyncio.create_task(commit.submit(1)), asyncio.create_task(commit.submit(2))
        await _until(lambda: commit.depth == 2)
        gone.cancel()
        await asyncio.wait([gone])
        disk.gate.set()
        assert [await first, await stays] == [0, 4]
        assert disk.batches == [[0], [2]]

    _run(test)


def test_one_refused_item_does_not_take_its_neighbours_along() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.refused = {2}
        one, two, three = await _while_one_is_written(disk, commit, [1, 2, 3])
        assert (one, type(two), three) == (2, ValueError, 6)
        assert disk.batches == [[0], [1, 2, 3], [1], [2], [3]]

    _run(test)


def test_an_outcome_of_one_item_is_its_own() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        one, unlucky, two = await _while_one_is_written(disk, commit, [1, 13, 2])
        assert (one, type(unlucky), two) == (2, KeyError, 4)

    _run(test)


def test_when_the_database_fails_all_of_a_batch_are_told_and_the_next_is_tried() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.failing = True
        results = await asyncio.gather(*map(commit.submit, (1, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        assert sorted(item for batch in disk.batches for item in batch) == [1, 2], "a failure is not tried again"
        disk.failing = False
        assert await commit.submit(3) == 6

    _run(test)


def test_a_wrong_number_of_results_is_told_to_all_and_the_next_is_written() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.swallowed = 2
        one, two = await _while_one_is_written(disk, commit, [1, 2])
        assert [type(one), type(two)] == [RuntimeError, RuntimeError]
        assert disk.batches == [[0], [1, 2]], "what may be written is not written again"
        assert await commit.submit(3) == 6

    _run(test)


def test_when_the_writing_task_dies_its_senders_are_told_and_the_next_is_written() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.cancelled = True
        results = await asyncio.gather(*map(commit.submit, (1, 2)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError, StorageError]
        disk.cancelled = False
        assert await commit.submit(3) == 6

    _run(test)


def test_a_batch_that_hangs_is_noted_for_as_long_as_it_does() -> None:
    noted: list[int] = []

    async def run() -> None:
        disk = Disk()
        commit: GroupCommit[int, int] = GroupCommit(
            disk.write, queue_limit=9, batch_limit=9, timeout_s=0.1, note_hanging=lambda: noted.append(1)
        )
        commit.start()
        assert await commit.submit(1) == 2
        assert noted == []
        disk.gate.clear()
        with pytest.raises(StorageError):
            await commit.submit(2)
        while len(noted) < 3:  # noqa: ASYNC110 - what is waited for is inside what is tested
            await asyncio.sleep(0.01)
        disk.gate.set()
        await commit.close()

    asyncio.run(run())


def test_closing_writes_what_waits_and_then_takes_nothing_more() -> None:
    async def test(disk: Disk, commit: "GroupCommit[int, int]") -> None:
        disk.gate.clear()
        tasks = [asyncio.create_task(commit.submit(item)) for item in (1, 2, 3)]
        await _until(lambda: commit.depth >= 2 or bool(disk.batches))
        closing = asyncio.create_task(commit.close())
        await asyncio.sleep(0)
        with pytest.raises(StorageError):
            await commit.submit(4)
        disk.gate.set()
        await closing
        assert await asyncio.gather(*tasks) == [2, 4, 6]

    _run(test)
