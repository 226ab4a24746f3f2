"""Which failures are tried again, and when: a decision without a network."""

import random
import time

from shopbell.client.call import Call
from shopbell.client.errors import ProblemError, Unreachable

PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses that another attempt may not meet."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


class Retries:
    """The attempts of one call; use it once.

    Its ``wait_s`` is a hook for stamina, which waits: so the caller's logs and metrics see the waits, and its test mode
    works. Stamina's own bounds are not used, for they do not know of Retry-After.

    Args:
        call: only one that is repeatable is tried more than once.
        attempts: how many at most, from 1.
        total_timeout_s: after how many seconds no further attempt begins.
    """

    def __init__(self, call: Call[object], attempts: int, total_timeout_s: float) -> None:
        self.attempts = attempts if call.is_repeatable else 1
        self._deadline_s = time.monotonic() + total_timeout_s
        self._failures = 0

    def left_s(self, at_most_s: float) -> float:
        """How long the next step may take, in seconds."""
        return max(0.001, min(at_most_s, self._deadline_s - time.monotonic()))

    def wait_s(self, error: Exception) -> bool | float:
        """How long to wait before the next attempt, in seconds; False for no further one."""
        self._failures += 1
        if isinstance(error, ProblemError) and error.status in PASSING:
            asked_s = error.retry_after_s or 0.0
        elif isinstance(error, Unreachable):
            asked_s = 0.0
        else:
            return False
        backoff_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (self._failures - 1))
        # Spread, so that all who were refused together do not come back together.
        wait_s = max(asked_s, backoff_s) + random.uniform(0, backoff_s)  # noqa: S311
        return wait_s if time.monotonic() + wait_s < self._deadline_s else False
