"""A test that hangs fails, and the run goes on.

pytest-timeout interrupts the test once. That does not help if it then waits again, such as for the end of its threads,
or if it hangs after it has failed. So its process ends a little later; pytest-xdist counts that as a failure of the
test, and starts another process for the other tests.
"""

import faulthandler
import os
from collections.abc import Generator

import pytest

PROCESS_ENDS_AFTER = 1.5
"""How many times its limit each of setup, call and teardown of a test may take."""

_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real standard error, because pytest captures it while a test runs."""
    config.stash[_STDERR] = os.dup(2)


def _limited(item: pytest.Item) -> Generator[None, object, object]:
    mark = item.get_closest_marker("timeout")
    of_run = item.config.getoption("timeout")
    limit_s = mark.args[0] if mark else float(item.config.getini("timeout") if of_run is None else of_run)
    if limit_s:
        faulthandler.dump_traceback_later(limit_s * PROCESS_ENDS_AFTER, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the fixtures."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the test."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the end of the fixtures: pytest-timeout does not if the test has failed."""
    return (yield from _limited(item))
