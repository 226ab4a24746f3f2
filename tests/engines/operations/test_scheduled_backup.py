"""A server makes a backup each day, in one process of an installation."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection

from harness import metrics
from harness.databases import add_postgres_programs
from harness.installation import Installation, Server
from harness.shop import Shop
from harness.waiting import wait_until
from harness.world import World
from shopbell.db.connect import connect_database
from shopbell.db.database import Database
from shopbell.db.installation import replace_fact
from shopbell.db.lease import Lease
from shopbell.operations.backups import backup, record
from shopbell.operations.backups.backup import Made
from shopbell.operations.backups.job import Superseded, store_backup
from shopbell.operations.backups.record import LEASE, RETRY_MS, Last
from shopbell.operations.backups.retention import Keep
from shopbell.operations.backups.targets import FolderTarget
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import load
from shopbell.workers import backup_worker

if TYPE_CHECKING:
    from harness.databases import Databases

AT = time(3, 0)
DAY_MS = 24 * 60 * 60 * 1000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
SUCCESS = "shopbell_backup_last_success_timestamp_seconds"


@pytest.fixture
def installation(
    installation: Installation, engine: str, databases: "Databases", monkeypatch: pytest.MonkeyPatch
) -> Installation:
    """The installation, with PostgreSQL's programs in its PATH, and in that of servers in this process."""
    backup_worker.LAST_SUCCESS.clear()  # servers in this process share it
    if engine == "postgresql":
        add_postgres_programs(installation, databases)
        monkeypatch.setenv("PATH", installation.environment["PATH"])
    return installation


@pytest.fixture
def opened(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The database, opened in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database = connect_database(load())
    yield database
    database.engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the backups go."""
    place = tmp_path / "backups"
    place.mkdir()
    return place


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("shopbell-*.tar"))


def wait_for_metric(server: Server) -> float:
    """Wait until the metrics have a successful backup, and return its time in Unix seconds."""

    def found() -> float | None:
        return metrics.value(server.client.get("/metrics").text, SUCCESS, to="folder")

    wait_until(found, lambda: f"no backup was made:\n{server.log}")
    return found() or 0


def test_a_server_makes_the_first_backup_at_once_and_no_second_one(
    installation: Installation, people: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_worker, "LOOK_EVERY_S", 0.05)
    looks = 0
    is_due = record.is_due

    def counted(*arguments: object, **named: object) -> bool:
        nonlocal looks
        looks += 1
        return is_due(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(record, "is_due", counted)
    with installation.serving(backup_to=folder) as server:
        taken_s = wait_for_metric(server)
        Shop(server, people).send()
        before = looks
        wait_until(lambda: looks > before + 3, lambda: "it does not look again")
        (file,) = backups(folder)
        assert "backup made" in server.log
    assert installation.database.value("SELECT value FROM installation WHERE name = 'backup_last'").startswith(
        str(round(taken_s * 1000))
    )
    assert installation.cli("restore", file)["warnings"] == []
    assert installation.database.value("SELECT count(*) FROM messages") == 0


def test_a_server_without_the_setting_makes_no_backup(installation: Installation, folder: Path) -> None:
    with installation.serving(backup_keep="1d") as server:
        wait_until(
            lambda: "shopbell_delivery_waiting_seconds" in server.client.get("/metrics").text,
            lambda: "the worker does not report its metrics",
        )
        assert metrics.value(server.client.get("/metrics").text, SUCCESS, to="folder") is None
    assert backups(folder) == []
    assert not installation.database.rows("SELECT * FROM installation WHERE name LIKE 'backup%'")


def test_a_failed_backup_is_logged_and_the_server_goes_on(
    installation: Installation, people: World, folder: Path
) -> None:
    folder.rmdir()
    with installation.serving(backup_to=folder) as server:
        wait_until(lambda: "backup failed" in server.log, lambda: f"it did not fail:\n{server.log}")
        assert f"there is no folder {folder}" in server.log
        Shop(server, people).send()
        assert metrics.value(server.client.get("/metrics").text, SUCCESS, to="folder") in (None, 0)
    assert not folder.exists()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_server_ends_in_time_although_a_backup_runs(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, is_storing, may_go_on = FolderTarget.store, threading.Event(), threading.Event()

    def slow_store(target: FolderTarget, file: Path, name: str) -> None:
        is_storing.set()
        may_go_on.wait()
        store(target, file, name)

    monkeypatch.setattr(FolderTarget, "store", slow_store)
    try:
        with installation.serving(backup_to=folder) as server:
            wait_until(is_storing.is_set, lambda: f"no backup began:\n{server.log}")
        assert "backup interrupted" in server.log
        assert backups(folder) == []
    finally:
        may_go_on.set()
        wait_until(lambda: backups(folder) and not list(folder.glob(".*")), lambda: str([*folder.iterdir()]))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_bug_while_a_backup_runs_starts_no_second_one(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, may_go_on = FolderTarget.store, threading.Event()
    monkeypatch.setattr(backup_worker, "_RENEW_EVERY_S", 0.05)
    began = 0

    def slow_store(target: FolderTarget, file: Path, name: str) -> None:
        nonlocal began
        began += 1
        may_go_on.wait()
        store(target, file, name)

    extensions = 0
    take = Lease.take

    def failing_take(lease: Lease, tx: Connection, owner: str, *, now_ms: int) -> bool:
        nonlocal extensions
        if began and not may_go_on.is_set():
            extensions += 1
            raise ArithmeticError
        return take(lease, tx, owner, now_ms=now_ms)

    monkeypatch.setattr(FolderTarget, "store", slow_store)
    monkeypatch.setattr(Lease, "take", failing_take)
    try:
        with installation.serving(backup_to=folder) as server:
            wait_until(lambda: extensions > 2, lambda: f"it does not wait for the backup:\n{server.log}")
            may_go_on.set()
            wait_for_metric(server)
            assert "backup made" in server.log
    finally:
        may_go_on.set()
    assert began == 1


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_server_stops_its_backup_when_another_process_has_taken_over(
    installation: Installation, opened: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, is_creating, may_go_on = backup.create, threading.Event(), threading.Event()

    def slow_create(*arguments: Any, **named: Any) -> Made:
        is_creating.set()
        may_go_on.wait()
        return create(*arguments, **named)

    monkeypatch.setattr(backup, "create", slow_create)
    try:
        with installation.serving(backup_to=folder) as server:
            wait_until(is_creating.is_set, lambda: f"no backup began:\n{server.log}")
            # What is stored when the lease has ended during an outage, and another process is the first to take it.
            opened.write_now(replace_fact, LEASE.name, f"other {now_ms() + LEASE.for_ms}")
            may_go_on.set()
            wait_until(lambda: "backup stopped" in server.log, lambda: f"it does not stop:\n{server.log}")
            assert "backup failed" not in server.log
    finally:
        may_go_on.set()
    assert backups(folder) == []
    assert opened.read_now(record.last) is None


def claim(opened: Database, owner: str, now_ms: int) -> bool:
    return opened.write_now(record.claim, owner, AT, now_ms=now_ms)


def test_one_of_several_processes_claims_a_backup(opened: Database) -> None:
    def claims(now_ms: int) -> list[bool]:
        with ThreadPoolExecutor(4) as threads:
            return sorted(threads.map(lambda owner: claim(opened, owner, now_ms), "abcd"))

    assert claims(NOON_MS) == [False, False, False, True]
    opened.write_now(record.note, Last(NOON_MS, 10))
    assert claims(NOON_MS + LEASE.for_ms + 1) == [False] * 4
    assert claims(NOON_MS + DAY_MS) == [False, False, False, True]


def test_another_process_makes_the_backup_of_one_that_died(opened: Database) -> None:
    assert claim(opened, "died", NOON_MS)
    assert not claim(opened, "other", NOON_MS + LEASE.for_ms - 1)
    assert claim(opened, "other", NOON_MS + LEASE.for_ms)


def store(target: FolderTarget, now_ms: Callable[[], int]) -> None:
    """Make the backup of the process ``slow``, which asks for the time when it extends its lease."""
    store_backup(
        load(),
        target,
        Keep.parse("1d"),
        with_secret_key=False,
        now_ms=NOON_MS,
        is_ours=lambda tx: record.claim(tx, "slow", AT, now_ms=now_ms()),
    )


@pytest.mark.parametrize("is_made", [False, True])
def test_a_backup_that_another_process_makes_or_has_made_stores_nothing(
    opened: Database, folder: Path, *, is_made: bool
) -> None:
    ended_ms = NOON_MS + LEASE.for_ms
    assert claim(opened, "slow", NOON_MS)
    assert claim(opened, "other", ended_ms)
    if is_made:
        opened.write_now(record.note, Last(ended_ms, 10))
        opened.write_now(LEASE.release, "other")
    with pytest.raises(Superseded):
        store(FolderTarget(folder), lambda: ended_ms + 1)
    assert backups(folder) == []
    assert not claim(opened, "slow", ended_ms + 1)


def test_a_backup_that_another_process_takes_over_during_the_upload_deletes_no_older_one(
    opened: Database, folder: Path
) -> None:
    older = folder / opened.write_now(record.series).name(NOON_MS - DAY_MS)
    older.touch()
    clock_ms = NOON_MS

    class SlowTarget(FolderTarget):
        def store(self, file: Path, name: str) -> None:
            nonlocal clock_ms
            super().store(file, name)
            clock_ms += LEASE.for_ms
            assert claim(opened, "other", clock_ms)

    assert claim(opened, "slow", NOON_MS)
    with pytest.raises(Superseded):
        store(SlowTarget(folder), lambda: clock_ms)
    assert older in backups(folder)
    assert opened.read_now(record.last) is None


def test_a_backup_goes_on_after_its_lease_if_no_other_process_took_over(opened: Database, folder: Path) -> None:
    assert claim(opened, "slow", NOON_MS)
    store(FolderTarget(folder), lambda: NOON_MS + 2 * LEASE.for_ms)
    assert len(backups(folder)) == 1
    assert opened.read_now(record.last) is not None


def test_no_process_repeats_a_failed_backup_before_the_pause_ends(opened: Database) -> None:
    assert claim(opened, "failed", NOON_MS)
    opened.write_now(LEASE.release, "failed", until_ms=NOON_MS + RETRY_MS)
    assert not claim(opened, "failed", NOON_MS + 1)
    assert not claim(opened, "other", NOON_MS + RETRY_MS - 1)
    assert claim(opened, "failed", NOON_MS + RETRY_MS)


def test_a_clock_that_was_set_back_delays_no_backup_for_long(opened: Database) -> None:
    assert claim(opened, "before", NOON_MS + 365 * DAY_MS)
    opened.write_now(record.note, Last(NOON_MS + 365 * DAY_MS, 10))
    assert claim(opened, "after", NOON_MS)
    assert 2 * LEASE.for_ms < 15 * 60 * 1000
