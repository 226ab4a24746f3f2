"""Rows from the future do not keep old rows from being deleted."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from harness.installation import Installation
from harness.retention import DAY_MS, age, keep
from harness.shop import Shop
from harness.world import World
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.db.schema.core import messages
from shopbell.operations import retention
from shopbell.settings.settings import load

AHEAD_DAYS = 365
NOW_MS = time.time_ns() // 1_000_000

FILL = {
    "messages": """
        INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, internal, body, created_at_ms)
        SELECT organization_id, thread_id, 1 + step.i, 1000000 + step.i, from_customer, internal, body, created_at_ms
        FROM messages, step WHERE sequence = 1
    """,
    "events": """
        INSERT INTO events (organization_id, position, type, created_at_ms)
        SELECT organization_id, 1000000 + step.i, type, created_at_ms
        FROM events, step WHERE position = (SELECT min(position) FROM events)
    """,
}


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A running server whose organization keeps everything for 5 days, with one conversation."""
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        shop.send()
        keep(shop, keepMessagesDays=5, keepEventsDays=5)
        for table in ("notification_cursors", "inbox_cursors"):
            shop.database.change(f"DELETE FROM {table}")
            fill = f"INSERT INTO {table} (organization_id, position) SELECT id, 1000000000000 FROM organizations"
            shop.database.change(fill)
        yield shop


@pytest.fixture
def opened(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The same database, opened in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database = open_database(load())
    yield database
    database.engine.dispose()


def fill(shop: Shop, table: str, count: int) -> None:
    """Copy the first row of a table."""
    steps = "WITH RECURSIVE step(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM step WHERE i < :count) "
    shop.database.change(steps + FILL[table], count=count)


@pytest.mark.parametrize("table", ["messages", "events"])
def test_old_rows_behind_those_of_a_clock_that_ran_ahead_are_deleted(shop: Shop, opened: Database, table: str) -> None:
    fill(shop, table, retention.BATCH_ROWS)
    age(shop, table, days=-AHEAD_DAYS)
    last = {"messages": "id", "events": "position"}[table]
    shop.database.change(
        f"UPDATE {table} SET created_at_ms = :old WHERE {last} = (SELECT max({last}) FROM {table})",
        old=NOW_MS - 10 * DAY_MS,
    )
    before = shop.count(table)
    assert before > retention.BATCH_ROWS
    asyncio.run(retention.sweep(opened, now_ms=NOW_MS))
    assert before - shop.count(table) == 1


def test_a_sweep_ends_at_rows_that_are_not_old_yet(shop: Shop, opened: Database) -> None:
    fill(shop, "messages", retention.BATCH_ROWS)
    done = opened.write_now(retention.sweep_messages, messages, int(shop.world.acme), 5, 0, now_ms=NOW_MS + DAY_MS)
    assert done == retention.Swept(0, None)
