"""The system's clock, and what to do when it is set back.

Waits within a process use the monotonic clock. Due times in the database are wall-clock times: after the clock was set
back by an hour they would be an hour late. So a process watches its clock (:class:`ClockWatch`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import ColumnElement

TOLERANCE_MS = 1_000
"""Smaller steps are ignored: they delay nothing for longer, and the clocks of two machines differ as much."""


def now_ms() -> int:
    """The time in Unix ms."""
    return time.time_ns() // 1_000_000


def log_time(at_s: float) -> str:
    """The time of a log line: ISO 8601 in UTC with milliseconds, such as ``2026-11-29T08:15:00.250Z``.

    Args:
        at_s: Unix time in seconds; parts of a millisecond are cut off.
    """
    whole_s, ms = divmod(int(at_s * 1_000), 1_000)
    return f"{_second(whole_s)}.{ms:03}Z"


@lru_cache(8)
def _second(whole_s: int) -> str:
    """A time in Unix seconds in ISO 8601, without a zone. Most lines that follow each other have the same second."""
    return datetime.fromtimestamp(whole_s, UTC).replace(tzinfo=None).isoformat()


def lately(at_ms: ColumnElement[int], within_ms: int, now_ms: int) -> ColumnElement[bool]:
    """Whether something happened within the last ``within_ms``.

    What seems to happen in the future was written before the clock was set back, and does not count: it would count
    for as long as the clock was set back, in addition.
    """
    return at_ms.between(now_ms - within_ms + 1, now_ms + TOLERANCE_MS)


@dataclass(frozen=True, slots=True)
class SetBack:
    """The clock was set back.

    Args:
        by_ms: how far.
        since_ms: when it happened at the earliest, by the clock as it is now, in Unix ms.
    """

    by_ms: int
    since_ms: int


class ClockWatch:
    """Compares the wall clock with the monotonic one.

    Args:
        wall_ms: the time in Unix ms.
        monotonic_s: seconds of a clock that cannot be set.
    """

    def __init__(self, wall_ms: Callable[[], int] = now_ms, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._looked_at_s = monotonic_s()
        self._ahead_ms = wall_ms() - self._looked_at_s * 1_000

    def look(self) -> SetBack | None:
        """Tell once of each time that the clock was set back by more than ``TOLERANCE_MS``."""
        now_ms, now_s = self._wall_ms(), self._monotonic_s()
        since_ms = now_ms - round((now_s - self._looked_at_s) * 1_000)
        self._looked_at_s = now_s
        ahead_ms = now_ms - now_s * 1_000
        by_ms = round(self._ahead_ms - ahead_ms)
        if 0 <= by_ms <= TOLERANCE_MS:  # the reference stays: many small steps are a large one
            return None
        self._ahead_ms = ahead_ms
        return SetBack(by_ms, since_ms) if by_ms > 0 else None
