"""A rate limit with a burst: the generic cell rate algorithm (GCRA, ITU-T I.371).

It keeps one number per key: the time at which the full burst is available again. The libraries that we know count in
windows, which let twice the rate through at their edges.
"""

from collections.abc import Hashable

_NS_PER_S = 1_000_000_000
_CLOCK_ERROR_NS = 100
"""More than the rounding error of the clock, a float, and less than the interval of any rate."""
KEYS_MAX = 20_000


class Gcra:
    """The limits of many keys, with the same rate.

    Args:
        count: requests per period that a key may sustain.
        period_s: the period, in whole seconds.
        burst: requests that a key may send at once.
    """

    def __init__(self, count: int, period_s: int, burst: int) -> None:
        # Time is counted in 1/count of a nanosecond, so a request takes a whole number and nothing is rounded.
        # Floats were too coarse: on a machine that had run for days, a burst of one was never granted again.
        self._count = count
        self._per_s = count * _NS_PER_S
        self._interval = period_s * _NS_PER_S
        self._capacity = burst * self._interval
        self._least = -_CLOCK_ERROR_NS * count
        self._full_at: dict[Hashable, int] = {}
        self.window_s = -(-burst * period_s // count)
        """Whole seconds in which the full burst is granted again."""

    def take(self, key: Hashable, now_s: float) -> tuple[bool, int, int]:
        """Count one request if there is room for it.

        Args:
            key: whose request it is.
            now_s: a monotonic clock, in seconds.

        Returns:
            Whether the request is granted. If so, the requests that are left, and the whole seconds until the full
            burst is available; if not, 0, and the whole seconds until a request will be granted.
        """
        now = int(now_s * _NS_PER_S) * self._count
        full_at = self._full_at
        before = full_at.pop(key, now)
        if before < now:
            before = now
        after = before + self._interval
        spare = self._capacity - after + now
        if len(full_at) > KEYS_MAX:
            self._drop_keys(now)
        # A client that comes exactly when told must not fail by the last bit of the clock.
        if spare < self._least:
            self._full_at[key] = before
            return False, 0, max(1, -(spare // self._per_s))
        self._full_at[key] = after
        return True, spare // self._interval if spare > 0 else 0, -((now - after) // self._per_s)

    def _drop_keys(self, now: int) -> None:
        """Drop the keys with a full burst; then, if necessary, those that were used longest ago."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        while len(self._full_at) > KEYS_MAX * 3 // 4:
            del self._full_at[next(iter(self._full_at))]
