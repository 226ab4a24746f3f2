"""A lease belongs to one process at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.installation import Installation
from shopbell.db.connect import connect_database
from shopbell.db.database import Database
from shopbell.db.lease import Lease
from shopbell.settings.settings import load

NOW_MS = 1_800_000_000_000
LEASE = Lease("test_lease", for_ms=1_000)


@pytest.fixture
def opened(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The database, opened in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database = connect_database(load())
    yield database
    database.engine.dispose()


def take(opened: Database, owner: str, now_ms: int) -> bool:
    return opened.write_now(LEASE.take, owner, now_ms=now_ms)


def test_one_of_several_owners_has_a_lease(opened: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda owner: take(opened, owner, NOW_MS), "abcd"))
    assert sorted(taken) == [False, False, False, True]


def test_another_owner_gets_a_lease_that_was_not_extended(opened: Database) -> None:
    assert take(opened, "a", NOW_MS)
    assert take(opened, "a", NOW_MS + 500)
    assert not take(opened, "b", NOW_MS + 1_499)
    assert take(opened, "b", NOW_MS + 1_500)
    assert not take(opened, "a", NOW_MS + 1_501)


def test_a_late_owner_cannot_release_the_lease_of_another(opened: Database) -> None:
    assert take(opened, "a", NOW_MS)
    assert take(opened, "ab", NOW_MS + 1_000)
    opened.write_now(LEASE.release, "a")
    assert not take(opened, "c", NOW_MS + 1_001)
    opened.write_now(LEASE.release, "ab")
    assert take(opened, "c", NOW_MS + 1_001)


def test_a_lease_can_be_released_for_a_later_time(opened: Database) -> None:
    assert take(opened, "a", NOW_MS)
    opened.write_now(LEASE.release, "a", until_ms=NOW_MS + 2_000)
    assert not take(opened, "a", NOW_MS)
    assert not take(opened, "b", NOW_MS + 1_999)
    assert take(opened, "b", NOW_MS + 2_000)


def test_a_clock_that_was_set_back_keeps_no_lease_for_long(opened: Database) -> None:
    assert take(opened, "a", NOW_MS + 1_000_000)
    assert take(opened, "b", NOW_MS)
