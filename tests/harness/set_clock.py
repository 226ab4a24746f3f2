"""A server whose wall clock a test can set."""

import time

from harness.changed import changed
from harness.installation import Installation

_DAY_MS = 24 * 60 * 60 * 1_000
_HOUR_MS = 60 * 60 * 1_000


def set_clock_from_file(installation: Installation) -> None:
    """Let its servers take their time from the file ``clock`` in its folder.

    The file has the difference to the real time, in ms.
    """
    installation.server_program = changed(_CLOCK_FROM_FILE)


def avoid_midnight(installation: Installation) -> None:
    """Set the clock of its servers back by two hours if a day (UTC) ends within the next one.

    Only then: a server whose clock can be set takes longer to start.
    """
    if _DAY_MS - time.time_ns() // 1_000_000 % _DAY_MS < _HOUR_MS:
        (installation.folder / "clock").write_text(str(-2 * _HOUR_MS))
        set_clock_from_file(installation)


_CLOCK_FROM_FILE = """
import time
from pathlib import Path

real = time.time_ns

def set_clock():
    try:
        return real() + int(Path("clock").read_text()) * 1_000_000
    except (FileNotFoundError, ValueError):
        return real()

time.time_ns = set_clock
"""
