"""Processes that tests have started."""

import subprocess
from collections.abc import Callable
from typing import Protocol


class Process(Protocol):
    """The part of ``subprocess.Popen`` that is used here."""

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


def wait_for_end(process: Process, timeout_s: float, log: Callable[[], str]) -> int:
    """Wait until a process ends, and return its exit code.

    Args:
        process: the process.
        timeout_s: seconds that it may take.
        log: returns what it has written.

    Raises:
        AssertionError: it did not end in time, and was killed.
    """
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"a process did not end within {timeout_s} s:\n{log()}") from None
