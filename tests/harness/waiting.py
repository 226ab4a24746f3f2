"""Waiting for what happens beside the test, by looking, and never by sleeping for luck."""

import time
from collections.abc import Callable

TIMEOUT_S = 40


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
