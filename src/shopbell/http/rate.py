"""The rate of each token: sustained, with a burst (GCRA).

The generic cell rate algorithm (ITU-T I.371) keeps one number per token: the time at which the bucket would be full
again. The kept libraries for limits count in windows, which let twice the rate through at their edges.
"""

from dataclasses import dataclass

from shopbell.errors import QuotaExceeded

Header = tuple[bytes, bytes]

_NS_PER_S = 1_000_000_000
_CLOCK_ERROR_NS = 100
"""More than a float's error in the uptime of any machine, less than the interval of any rate."""


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
        # Time is counted in 1/rate of a nanosecond: a request takes a whole number of these, nothing is rounded.
        # Floats were too coarse: on a machine that had run for days, a burst of one was refused for good.
        self._rate = rate_per_s
        self._per_s = rate_per_s * _NS_PER_S
        self._capacity = burst * _NS_PER_S
        self._policy = (b"ratelimit-policy", f'"token";q={burst};w={-(-burst // rate_per_s)}'.encode())
        # One entry for each token that was ever valid in this process: as many as there are tokens.
        self._full_at: dict[int, int] = {}

    def take(self, token_id: int, now_s: float) -> Allowance:
        """Take one request from a token's allowance, if there is one.

        Args:
            token_id: a valid token.
            now_s: seconds of a clock that never goes back.
        """
        now = int(now_s * _NS_PER_S) * self._rate
        after = max(self._full_at.get(token_id, now), now) + _NS_PER_S
        spare = self._capacity - (after - now)
        # Whoever comes exactly when told must not fail by the last bit of the clock's float.
        granted = spare >= -_CLOCK_ERROR_NS * self._rate
        if granted:
            self._full_at[token_id] = after
            remaining = max(0, spare) // _NS_PER_S
            reset_s = -(-(after - now) // self._per_s)
            retry_after_s = 0
        else:
            remaining = 0
            retry_after_s = reset_s = max(1, -(spare // self._per_s))
        rate_limit = (b"ratelimit", b'"token";r=%d;t=%d' % (remaining, reset_s))
        return Allowance(granted, (self._policy, rate_limit), retry_after_s)
