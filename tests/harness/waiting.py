"""Waiting for conditions, never for fixed times."""

import time
from collections.abc import Callable

from harness.installation import Database

TIMEOUT_S = 60
OBEYED_WITHIN_S = 1
"""The time that a running server has to obey a change by another process, such as the revocation of a token."""


def wait_until(is_so: Callable[[], object], otherwise: Callable[[], str], timeout_s: float = TIMEOUT_S) -> None:
    """Look until something is so.

    Args:
        is_so: looks.
        otherwise: says what is so instead, when the time is over.
        timeout_s: how long at most.

    Raises:
        AssertionError: it did not become so.
    """
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, otherwise()
        time.sleep(0.02)


def wait_until_left(database: Database) -> None:
    """Wait until a database has no users: PostgreSQL notices a kill a moment later."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    if not database.is_sqlite:
        wait_until(lambda: database.value(others) == 0, lambda: "a process still uses the database")


def ask_until_obeyed(is_obeyed: Callable[[], object], otherwise: str) -> None:
    """Ask until a change that was just made is obeyed, which each request must be that is sent a second later.

    What counts is when a request is sent: an answer that comes later may be late because of the machine.

    Args:
        is_obeyed: sends a request, and says whether it was answered by the change.
        otherwise: what is so instead.

    Raises:
        AssertionError: a request that was sent after more than a second was answered as if nothing had changed.
    """
    changed_s = asked_s = time.monotonic()
    while not is_obeyed():
        assert asked_s < changed_s + OBEYED_WITHIN_S, otherwise
        time.sleep(0.02)
        asked_s = time.monotonic()
