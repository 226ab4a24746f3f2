"""How much a customer's browser may ask for, so that none of them slows down the others.

Each limit is sustained with a burst (GCRA, as ``http/rate.py``), per server process. What an address is refused
is counted against nobody else: the address comes first, then what it shares with others.
"""

import time
from collections.abc import Hashable, Mapping
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil

from starlette.requests import HTTPConnection

from shopbell.errors import QuotaExceeded

ENTRIES_MAX = 20_000
_STREAMS_MIN = 8
_NEIGHBOURS_BITS = 64
"""Of an IPv6 address: one household has all that begin alike."""


class TooFast(QuotaExceeded):
    """429: a browser, its address, or all visitors of an organization together, ask too much.

    Args:
        name: the limit's.
        retry_after_s: seconds until it is worth another try.
        quota: how many at once it grants.
        window_s: seconds in which as many are granted again.
    """

    def __init__(self, name: str, retry_after_s: int, *, quota: int, window_s: int) -> None:
        super().__init__(retry_after_s)
        self.developer_message = f"Rate limit '{name}' exceeded"
        self._policy = f'"{name}";q={quota};w={window_s}'
        self._left = f'"{name}";r=0;t={retry_after_s}'

    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "RateLimit-Policy": self._policy, "RateLimit": self._left}


class Limit:
    """One limit, for each of many.

    Args:
        name: what the answer calls it.
        per_min: how many a minute are granted on and on.
        burst: how many at once.
    """

    def __init__(self, name: str, per_min: int, burst: int) -> None:
        self._name = name
        self._interval_s = 60 / per_min
        self._burst = burst
        self._span_s = self._interval_s * burst
        self._full_at_s: dict[Hashable, float] = {}

    def take(self, key: Hashable) -> None:
        """Count one.

        Raises:
            TooFast: 429.
        """
        now_s = time.monotonic()
        after_s = max(self._full_at_s.pop(key, now_s), now_s) + self._interval_s
        over_s = after_s - now_s - self._span_s
        granted = over_s <= 1e-6  # whoever comes exactly when told must not fail by a float's last bit
        self._full_at_s[key] = after_s if granted else after_s - self._interval_s
        if len(self._full_at_s) > ENTRIES_MAX:
            self._forget(now_s)
        if not granted:
            wait_s = max(1, ceil(over_s))
            raise TooFast(self._name, wait_s, quota=self._burst, window_s=ceil(self._span_s))

    def _forget(self, now_s: float) -> None:
        """Let go of those that count for nothing any more; of the others, of whoever came longest ago."""
        self._full_at_s = {key: at_s for key, at_s in self._full_at_s.items() if at_s > now_s}
        while len(self._full_at_s) > ENTRIES_MAX * 3 // 4:
            del self._full_at_s[next(iter(self._full_at_s))]


class VisitorLimits:
    """All limits of customers' browsers.

    Args:
        per_min: how many messages a minute may come from one address; the others follow from it. So does
            ``streams_of_address``: how many streams may be open at once to one.
    """

    def __init__(self, per_min: int) -> None:
        some = max(1, per_min // 3)
        self.streams_of_address = max(_STREAMS_MIN, per_min * 4)
        self.requests = Limit("session", per_min * 10, per_min * 4)
        self.messages = Limit("session", per_min, some)
        self.messages_of_address = Limit("visitor", per_min, per_min)
        self.messages_of_organization = Limit("organization", per_min * 50, per_min * 10)
        self.uploads_of_address = Limit("visitor", some, some)
        self.sessions_of_address = Limit("visitor", some, some)
        self.sessions_of_key = Limit("publishable key", per_min * 20, per_min * 5)
        self.sessions_of_organization = Limit("organization", per_min * 40, per_min * 10)
        self.links_of_address = Limit("visitor", some, some)
        self.new_links_of_address = Limit("visitor", max(1, per_min // 10), max(1, per_min // 10))


def address_of(request: HTTPConnection) -> str:
    """The network that a request came from: an IPv4 address, or the first half of an IPv6 one.

    Args:
        request: its client is the visitor's own address where proxies are trusted.
    """
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, _NEIGHBOURS_BITS), strict=False))
