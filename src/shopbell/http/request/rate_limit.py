"""The rate limit of API tokens, and the headers that tell it."""

from typing import NamedTuple

from shopbell.errors import QuotaExceeded
from shopbell.http.request.gcra import Gcra

Header = tuple[bytes, bytes]


class Allowance(NamedTuple):
    """The decision about one request.

    Args:
        granted: whether the request may continue.
        headers: ``RateLimit-Policy`` and ``RateLimit`` of the response (draft-ietf-httpapi-ratelimit-headers-10).
        retry_after_s: whole seconds until a request will be granted; 0 if this one was.
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
    """The rate limits of all tokens of this process.

    Args:
        rate_per_s: requests per second that a token may sustain.
        burst: requests that a token may send at once.
    """

    def __init__(self, rate_per_s: int, burst: int) -> None:
        self._gcra = Gcra(rate_per_s, 1, burst)
        self._policy = (b"ratelimit-policy", f'"token";q={burst};w={self._gcra.window_s}'.encode())

    def take(self, caller_id: int, now_s: float) -> Allowance:
        """Count one request of a valid token, if its limit allows.

        Args:
            caller_id: the token or employee.
            now_s: a monotonic clock, in seconds.
        """
        granted, remaining, wait_s = self._gcra.take(caller_id, now_s)
        rate_limit = (b"ratelimit", b'"token";r=%d;t=%d' % (remaining, wait_s))
        return Allowance(granted, (self._policy, rate_limit), 0 if granted else wait_s)
