"""Decide which failures to retry, and when. Nothing here uses the network."""

import random
import time

from shopbell_client.call import Call
from shopbell_client.errors import ProblemError, Unreachable

RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})
FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0


class Retries:
    """The retry policy of one call. Create a new one for each call.

    ``wait_s`` is a backoff hook for stamina. Stamina's own limits are not used, since they ignore ``Retry-After``.

    Args:
        call: only repeatable calls are retried.
        attempts: the maximum, 1 or more.
        total_timeout_s: no attempt begins later than this, in seconds.
    """

    def __init__(self, call: Call[object], attempts: int, total_timeout_s: float) -> None:
        self.attempts = attempts if call.is_repeatable else 1
        self._deadline_s = time.monotonic() + total_timeout_s
        self._failures = 0

    def timeout_s(self, at_most_s: float) -> float:
        """Limit a timeout to the remaining time, in seconds."""
        return max(0.001, min(at_most_s, self._deadline_s - time.monotonic()))

    def wait_s(self, error: Exception) -> bool | float:
        """Return the seconds to wait before the next attempt, or False to stop."""
        self._failures += 1
        if isinstance(error, ProblemError) and error.status in RETRIED_STATUSES:
            retry_after_s = error.retry_after_s or 0.0
        elif isinstance(error, Unreachable):
            retry_after_s = 0.0
        else:
            return False
        backoff_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (self._failures - 1))
        # Jitter, so that clients that failed together do not retry together.
        wait_s = max(retry_after_s, backoff_s) + random.uniform(0, backoff_s)  # noqa: S311
        return wait_s if time.monotonic() + wait_s < self._deadline_s else False
