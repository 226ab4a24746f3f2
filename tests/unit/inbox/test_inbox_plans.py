"""The inbox reads only the rows that it shows: SQLite uses an index.

There are no statistics from ``ANALYZE``.
"""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, create_engine

from harness.statements import Recorded
from shopbell.db.schema.core import metadata
from shopbell.inbox import drafts, snoozes

BY_THREAD = "SEARCH drafts USING INDEX ix_drafts_thread_id_organization_id (thread_id=?)"
BY_EMPLOYEE = "SEARCH drafts USING INDEX ix_drafts_employee_id_organization_id (employee_id=?)"
BY_TIME = "SEARCH snoozes USING COVERING INDEX ix_snoozes_until_ms (until_ms<?)"


@pytest.fixture
def tx() -> Iterator[Connection]:
    """A transaction in a new SQLite database."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("look", "way"),
    [
        (lambda tx: drafts.in_thread(tx, 1, 2, 3), BY_THREAD),
        (lambda tx: drafts.find_page(tx, 1, None, before_id=9, limit=5), BY_EMPLOYEE),
        (lambda tx: drafts.delete_of_employee(tx, 1, 3, limit=5), BY_EMPLOYEE),
        (lambda tx: drafts.delete_of_threads(tx, 1, [2, 3], limit=5), BY_THREAD),
        (lambda tx: snoozes.look(tx, {}, now_ms=1), BY_TIME),
    ],
)
def test_the_inbox_uses_an_index(tx: Connection, look: Callable[[Connection], object], way: str) -> None:
    recorded = Recorded(tx)
    look(tx)
    assert way in recorded.plans()
