"""The rate of each token: sustained, with a burst (GCRA).

The generic cell rate algorithm (ITU-T I.371) keeps one number per token: the time at which the bucket would be full
again. The kept libraries for limits count in windows, which let twice the rate through at their edges.
"""

import math
from dataclasses import dataclass

from shopbell.errors import QuotaExceeded

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a token.

    Args:
        granted: whether this request may go on.
        headers: ``RateLimit-Policy`` and ``RateLimit`` of the answer (draft-ietf-httpapi-ratelimit-headers-10).
        retry_after_s: whole seconds until a request will be granted again; 0 when this one was.
    """

    granted: bool
    headers: tuple[Header, Header]
    retry_after_s: int = 0

    def check(self) -> None:
        """Refuse a request that was not granted.

        Raises:
            QuotaExceeded: 429.
        """
        if not self.granted:
            raise QuotaExceeded(self.retry_after_s)


class RateLimit:
    """The rates of all tokens of this process.

    Args:
        rate_per_s: requests per second that a token may sustain.
        burst: requests that a token may send at once.
    """

    def __init__(self, rate_per_s: int, burst: int) -> None:
        self._interval_s = 1 / rate_per_s
        self._capacity_s = burst / rate_per_s
        self._policy = (b"ratelimit-policy", f'"token";q={burst};w={math.ceil(burst / rate_per_s)}'.encode())
        # One entry for each token that was ever valid in this process: as many as there are tokens.
        self._full_at_s: dict[int, float] = {}

    def take(self, token_id: int, now_s: float) -> Allowance:
        """Take one request from a token's allowance, if there is one.

        Args:
            token_id: a valid token.
            now_s: seconds of a clock that never goes back.
        """
        before_s = max(self._full_at_s.get(token_id, now_s), now_s)
        after_s = before_s + self._interval_s
        spare_s = self._capacity_s - (after_s - now_s)
        # Times are sums of fractions: the last of a burst must not fail by the last bit.
        granted = spare_s > -1e-9 * self._capacity_s
        if granted:
            self._full_at_s[token_id] = after_s
            remaining = int(spare_s / self._interval_s + 1e-6)
            reset_s = math.ceil(after_s - now_s)
            retry_after_s = 0
        else:
            remaining = 0
            retry_after_s = reset_s = max(1, math.ceil(-spare_s))
        rate_limit = (b"ratelimit", b'"token";r=%d;t=%d' % (remaining, reset_s))
        return Allowance(granted, (self._policy, rate_limit), retry_after_s)
