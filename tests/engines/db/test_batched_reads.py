"""Reads that wait at the same time share one transaction."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text

from harness.installation import Installation
from harness.world import World
from shopbell.db.batched_reads import BATCH_LIMIT, BatchedReads
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.errors import NotFound, StorageError
from shopbell.settings.settings import load


@pytest.fixture
def database(installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    assert people
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    opened = open_database(load())
    yield opened
    opened.engine.dispose()


class Doubles:
    """Doubles numbers with SQL, and keeps the batches. Negative numbers are not found."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, tx: Connection, keys: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(keys))
        factor = tx.execute(text("SELECT 2")).scalar_one()
        return [key * factor if key >= 0 else NotFound("businessId") for key in keys]


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_reads_that_wait_at_the_same_time_share_transactions(database: Database) -> None:
    async def test() -> None:
        doubles = Doubles()
        reads = BatchedReads(database, doubles)
        count = 2 * BATCH_LIMIT + 5
        assert await asyncio.gather(*map(reads.read, range(count))) == [2 * key for key in range(count)]
        assert [len(batch) for batch in doubles.batches] == [BATCH_LIMIT, BATCH_LIMIT, 5]
        assert await reads.read(1_000) == 2_000

    _run(test)


def test_an_error_of_one_key_does_not_reach_the_others(database: Database) -> None:
    async def test() -> None:
        reads = BatchedReads(database, Doubles())
        one, other, another = await asyncio.gather(*map(reads.read, (1, -1, 2)), return_exceptions=True)
        assert (one, another) == (2, 4)
        assert isinstance(other, NotFound)

    _run(test)


def test_a_bug_with_one_key_does_not_fail_the_others(database: Database) -> None:
    async def test() -> None:
        doubles = Doubles()

        def read(tx: Connection, keys: Sequence[int]) -> list[int | Exception]:
            if 1 in keys:
                raise ZeroDivisionError
            return doubles(tx, keys)

        reads: BatchedReads[int, int] = BatchedReads(database, read)
        one, other, another = await asyncio.gather(*map(reads.read, (0, 1, 2)), return_exceptions=True)
        assert (one, another) == (0, 4)
        assert isinstance(other, ZeroDivisionError)

    _run(test)


def test_a_failure_of_the_database_reaches_all_and_later_reads_succeed(database: Database) -> None:
    async def test() -> None:
        doubles = Doubles()
        is_failing = True

        def read(tx: Connection, keys: Sequence[int]) -> list[int | Exception]:
            if is_failing:
                raise StorageError("the disk is gone")
            return doubles(tx, keys)

        reads: BatchedReads[int, int] = BatchedReads(database, read)
        errors = await asyncio.gather(*map(reads.read, range(3)), return_exceptions=True)
        assert [type(error) for error in errors] == [StorageError] * 3
        is_failing = False
        assert await reads.read(3) == 6

    _run(test)


def test_a_key_that_is_submitted_as_the_last_batch_ends_is_read(database: Database) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        reads = BatchedReads(database, Doubles())
        later: asyncio.Future[int | Exception] = loop.create_future()
        reads.submit(1, lambda _: loop.call_soon(reads.submit, 2, later.set_result) and None)
        async with asyncio.timeout(60):
            assert await later == 4

    _run(test)


def test_a_reader_that_has_gone_does_not_disturb_the_others(database: Database) -> None:
    async def test() -> None:
        reads = BatchedReads(database, Doubles())
        gone, waiting = (asyncio.ensure_future(reads.read(key)) for key in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        assert await waiting == 4

    _run(test)
