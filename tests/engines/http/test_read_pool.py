"""Expensive reads of one client do not delay others."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, QueuePool, text

from harness.installation import Installation
from harness.waiting import wait_until
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.http.request import read_pool
from shopbell.http.request.read_pool import READS_PER_ORGANIZATION, ReadPool
from shopbell.settings.settings import load

ACME, GLOBEX = 1, 2
LONG_S = 60


@pytest.fixture
def database(installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    assert people
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    opened = open_database(load())
    yield opened
    pool = opened.engine.pool
    assert isinstance(pool, QueuePool)
    # A read whose caller has gone may still have its connection. Nothing would close it if it were returned later.
    wait_until(lambda: pool.checkedout() == 0, pool.status)
    opened.engine.dispose()


class Slow:
    """A read that takes as long as one likes."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self, tx: Connection, organization_id: int) -> int:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.release()
        assert self.may_end.wait(LONG_S)
        with self._lock:
            self._now -= 1
        return organization_id if tx.execute(text("SELECT 1")).scalar() else 0


def quick(tx: Connection, organization_id: int) -> int:
    return organization_id if tx.execute(text("SELECT 1")).scalar() else 0


async def until_begun(slow: Slow, times: int) -> None:
    for _ in range(times):
        assert await asyncio.to_thread(slow.begun.acquire, timeout=LONG_S)


def test_one_clients_many_reads_do_not_delay_others(database: Database) -> None:
    async def test() -> None:
        browse, slow = ReadPool(database), Slow()
        reading = [asyncio.create_task(browse.read(slow, ACME)) for _ in range(16)]
        await until_begun(slow, READS_PER_ORGANIZATION)
        assert await browse.read(quick, GLOBEX) == GLOBEX
        assert await database.read(quick, ACME) == ACME  # as tokens are looked up
        slow.may_end.set()
        assert await asyncio.gather(*reading) == [ACME] * 16
        assert slow.most == READS_PER_ORGANIZATION

    asyncio.run(test())


def test_an_abandoned_read_keeps_its_slot_until_it_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        browse, slow = ReadPool(database), Slow()
        left = [asyncio.create_task(browse.read(slow, ACME)) for _ in range(READS_PER_ORGANIZATION)]
        await until_begun(slow, READS_PER_ORGANIZATION)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        with monkeypatch.context() as impatient:
            impatient.setattr(read_pool, "TRANSACTION_TIMEOUT_S", 0.2)
            with pytest.raises(StorageError):
                await browse.read(quick, ACME)
        assert await browse.read(quick, GLOBEX) == GLOBEX
        slow.may_end.set()
        assert await browse.read(quick, ACME) == ACME

    asyncio.run(test())
