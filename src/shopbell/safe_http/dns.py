"""Resolve names with the system's resolver, without blocking on slow name servers."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from shopbell.safe_http.errors import NameNotFound
from shopbell.safe_http.hosts import Address

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Find all addresses of an ASCII name, for a port; raises ``NameNotFound`` if there are none."""

_Found = tuple[Address, ...] | NameNotFound

LOOKUPS_AT_ONCE = 256


class SystemResolver:
    """The system's resolver, with its hosts file and search list.

    A lookup cannot be cancelled, and a name server may delay it for half a minute. So each lookup has its own daemon
    thread, which neither uses up the event loop's few worker threads nor delays the end of the process. Concurrent
    lookups of one name share a thread.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[_Found]] = {}

    async def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """Find all addresses of a name.

        Args:
            host: an ASCII name.
            port: 1 to 65535.

        Raises:
            NameNotFound: the name has no addresses, or too many lookups are running.
        """
        lookup = self._under_way.get(host) or self._start(host, port)
        found = await asyncio.shield(lookup)
        if isinstance(found, NameNotFound):
            raise NameNotFound(*found.args)
        return found

    def _start(self, host: str, port: int) -> asyncio.Future[_Found]:
        if len(self._under_way) >= LOOKUPS_AT_ONCE:
            raise NameNotFound("too many DNS lookups are running")
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[_Found] = loop.create_future()

        def land(found: _Found) -> None:
            del self._under_way[host]
            lookup.set_result(found)

        def look_up() -> None:
            found = _addresses(host, port)
            if not loop.is_closed():
                loop.call_soon_threadsafe(land, found)

        thread = threading.Thread(target=look_up, name="look-up", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise NameNotFound("cannot start a thread for the DNS lookup") from None
        self._under_way[host] = lookup
        return lookup


def _addresses(host: str, port: int) -> _Found:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception:  # noqa: BLE001 - all callers wait for the result
        return NameNotFound("the name has no address")
    # An address may occur once per protocol. The order is the system's preference.
    return tuple(dict.fromkeys(ip_address(place[0]) for *_, place in found))
