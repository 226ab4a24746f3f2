"""The lists of the inbox use indexes.

SQLite has no statistics; PostgreSQL collects them automatically.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from sqlalchemy import Connection, event, text

from harness.installation import SECRET_KEY, Installation
from harness.statements import Recorded
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.db.schema.inbox import RANKS
from shopbell.inbox import conversation_list, projection
from shopbell.inbox.conversation_list import COUNT_MAX, Reader, Sort, View, Wanted
from shopbell.inbox.projection import Touched
from shopbell.settings.settings import Settings

ACME, BOSTON, ALICE = 1, 7, 9
ROWS = 10_000
HOUR_MS = 3_600_000

FILL = f"""
    INSERT INTO inbox_threads (organization_id, thread_id, business_id, customer_id, channel, status, assignee_id,
        waiting_since_ms, last_at_ms, last_hour, last_sequence, last_customer_sequence, last_author, preview,
        settled_sequence, answered_sequence, rank, position)
    SELECT {ACME}, i, {BOSTON} + i % 2, i, 'WEB', CASE WHEN i % 2 = 0 THEN 'waiting' ELSE 'resolved' END,
        CASE WHEN i % 4 = 0 THEN {ALICE} + i % 100 END, CASE WHEN i % 2 = 0 THEN i END,
        {HOUR_MS} * CAST(i AS bigint), i, 1, 1,
        'customer', 'Hello', 0, 0, CASE WHEN i % 2 = 0 THEN i ELSE {4 * RANKS} - {HOUR_MS} * CAST(i AS bigint) END, 1
    FROM (SELECT value AS i FROM {{series}}) AS numbers
"""
SERIES = {
    "sqlite": "(WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < {last})"
    " SELECT value FROM s) AS s",
    "postgresql": "generate_series(1, {last}) AS s(value)",
}


@pytest.fixture
def database(installation: Installation) -> Iterator[Database]:
    """A database in which Acme has 10,000 conversations."""
    opened = open_database(Settings(database_url=installation.database.url, secret_key=SECRET_KEY))
    series = SERIES[opened.engine.dialect.name].format(last=ROWS)
    opened.write_now(lambda tx: tx.execute(text(FILL.format(series=series))))
    if opened.engine.dialect.name == "postgresql":
        opened.write_now(lambda tx: tx.execute(text("ANALYZE inbox_threads")))
    yield opened
    opened.engine.dispose()


def plan(database: Database, *given: Any, **named: Any) -> str:
    """How a page is read: the plan of the statement that orders rows."""
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _u: object, sql: str, parameters: object, *_: object) -> None:
        ran.append((sql, parameters))

    def explain(tx: Connection) -> str:
        conversation_list.find_page(tx, ACME, *given, **named)
        ((sql, parameters),) = [each for each in ran if "ORDER BY inbox_threads" in each[0]]
        if tx.dialect.name == "sqlite":
            return "\n".join(str(row.detail) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))
        (row,) = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        return json.dumps(row[0])

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        return database.read_now(explain)
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("after", [None, (5_000, 5_000)])
@pytest.mark.parametrize(
    ("view", "business_id", "assignee_id", "sort", "index"),
    [
        ("needs-reply", None, None, "waiting", "rank"),
        ("open", None, None, "waiting", "rank"),
        ("open", None, None, "recent", "recent"),
        ("resolved", None, None, "waiting", "rank"),
        ("needs-reply", BOSTON, None, "waiting", "business"),
        ("resolved", BOSTON, None, "waiting", "business"),
        ("open", None, ALICE, "waiting", "assignee"),
        ("unassigned", None, None, "waiting", "assignee"),
    ],
)
def test_a_page_is_a_range_of_an_index(
    database: Database,
    view: View,
    business_id: int | None,
    assignee_id: int | None,
    sort: Sort,
    index: str,
    after: tuple[int, int] | None,
) -> None:
    wanted = Wanted(view, business_id, assignee_id)
    found = plan(database, Reader(None), wanted, sort=sort, after=after, limit=50)
    if database.engine.dialect.name == "postgresql":  # it chooses by its statistics
        assert "ix_inbox_threads_" in found
        assert "Seq Scan" not in found
    elif index == "recent":  # the conversations of one hour are sorted
        assert "ix_inbox_threads_recent (organization_id=? AND last_hour<?)" in found
        assert "USE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY" in found
    else:
        assert f"ix_inbox_threads_{index}" in found
        assert "TEMP B-TREE" not in found


def test_many_lists_are_counted_with_one_statement(database: Database) -> None:
    wanted = [
        Wanted(view, business_id, assignee_id, channel=channel)
        for view in get_args(View)
        for business_id in (None, BOSTON)
        for assignee_id in (None, ALICE)
        for channel in (None, "WEB", "SMS")
    ]

    def count(tx: Connection) -> None:
        recorded = Recorded(tx)
        sizes = conversation_list.count_each(tx, ACME, Reader(ALICE), [*wanted, wanted[0]])
        assert len([sql for sql, _ in recorded.statements if "inbox_threads" in sql]) == 1
        if tx.dialect.name == "sqlite":
            assert not [step for step in recorded.plans() if "SCAN inbox_threads" in step]
        listed = {
            each: len(conversation_list.find_ids(tx, ACME, Reader(ALICE), each, limit=COUNT_MAX)) for each in wanted
        }
        assert sizes == listed
        assert {0, COUNT_MAX} < set(sizes.values())

    database.read_now(count)
    assert database.read_now(conversation_list.count_each, ACME, Reader(ALICE), []) == {}


def test_rows_are_derived_without_reading_whole_tables(database: Database) -> None:
    def plan_of_update(tx: Connection) -> str:
        recorded = Recorded(tx)
        projection.derive(tx, ACME, [Touched(1, 1)])
        ((sql, parameters),) = [each for each in recorded.statements if each[0].startswith("UPDATE inbox_threads")]
        if tx.dialect.name == "sqlite":
            rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            return "\n".join(str(row.detail) for row in rows)
        return "\n".join(str(line) for (line,) in tx.exec_driver_sql(f"EXPLAIN {sql}", parameters))

    found = database.write_now(plan_of_update)
    assert not re.findall(r"Seq Scan|SCAN (?!anon|given|json)\w+", found), found
    assert "inbox_threads" in found
