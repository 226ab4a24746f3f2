"""The limits of visitors, so that none of them slows the others down.

Each limit is a rate with a burst, per server process. The limit of the network address comes first, so that a refused
request does not count against what the address shares with others.
"""

import time
from collections.abc import Hashable
from ipaddress import IPv4Address, IPv6Network, ip_address

from starlette.requests import HTTPConnection

from shopbell.errors import Quota, QuotaExceeded
from shopbell.http.request.gcra import Gcra
from shopbell.safe_http.addresses import unmapped

_STREAMS_MIN = 8
_SITE_BITS = 64
"""One household has all IPv6 addresses with the same first 64 bits."""


class Limit:
    """One limit for many keys, such as addresses.

    Args:
        name: the name that clients see.
        per_min: requests per minute that a key may sustain.
        burst: requests that a key may send at once.
    """

    def __init__(self, name: str, per_min: int, burst: int) -> None:
        self._gcra = Gcra(per_min, 60, burst)
        self._quota = Quota(name, burst, self._gcra.window_s)

    def take(self, key: Hashable) -> None:
        """Count one request.

        Raises:
            QuotaExceeded: 429.
        """
        granted, _, wait_s = self._gcra.take(key, time.monotonic())
        if not granted:
            raise QuotaExceeded(wait_s, self._quota)


class VisitorLimits:
    """All limits of visitors.

    Args:
        per_min: messages per minute from one network address. The other limits are multiples of it, including
            ``streams_of_address``, the most open streams of an address.
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
        self.sign_ins_of_address = Limit("visitor", per_min, per_min)
        self.new_links_of_address = Limit("visitor", max(1, per_min // 10), max(1, per_min // 10))


def address_of(request: HTTPConnection) -> str:
    """Return the network of a client: its IPv4 address, or the first half of its IPv6 address."""
    host = request.client.host if request.client else ""
    try:
        address = unmapped(ip_address(host))
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, _SITE_BITS), strict=False))
