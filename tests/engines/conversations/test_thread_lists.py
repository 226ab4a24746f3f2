"""Thread lists use an index, without ``ANALYZE``."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, make_url

from harness.installation import Installation
from shopbell.conversations import threads
from shopbell.conversations.threads import Wanted
from shopbell.db.sqlite import SqliteDatabase

BY_STATUS = "ix_threads_status_organization_id_id (status=? AND organization_id=?{})"
BY_BUSINESS = "ix_threads_organization_id_business_id_id (organization_id=? AND business_id=?{})"
BY_ASSIGNEE = "ix_assignments_organization_id_employee_id (organization_id=? AND employee_id=?{})"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("wanted", "way", "before"),
    [
        (Wanted(status="waiting"), BY_STATUS, " AND id<?"),
        (Wanted(status="waiting", business_id=7, channel="WEB", updated_since_ms=1), BY_STATUS, " AND id<?"),
        (Wanted(business_id=7), BY_BUSINESS, " AND id<?"),
        (Wanted(businesses=frozenset({7})), BY_BUSINESS, " AND id<?"),
        (Wanted(assignee_id=7, status="waiting", business_id=7), BY_ASSIGNEE, " AND thread_id<?"),
    ],
)
def test_a_list_reads_only_the_threads_it_shows(
    installation: Installation, wanted: Wanted, way: str, before: str
) -> None:
    database = SqliteDatabase(Path(make_url(installation.database.url).database or ""))
    ran: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _u, sql, given, *_: ran.append((sql, given)))

    def first_step(tx: Connection, before_id: int | None) -> str:
        ran.clear()
        threads.find_page(tx, 1, wanted, before_id=before_id, limit=10)
        (page,) = [each for each in ran if "ORDER BY" in each[0]]
        plan = [str(row.detail) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {page[0]}", page[1])]
        assert not any("B-TREE" in step for step in plan), plan
        return plan[0]

    try:
        assert way.format("") in database.read_now(first_step, None)
        assert way.format(before) in database.read_now(first_step, 9)
    finally:
        database.engine.dispose()
