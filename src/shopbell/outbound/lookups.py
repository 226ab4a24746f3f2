"""Looking names up by the system's resolver, without letting a silent name server hold up anybody else."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from shopbell.outbound.failures import NameNotFound
from shopbell.outbound.hosts import Address

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Find all addresses of a name in ASCII, for a port; raises ``NameNotFound`` when it has none."""

_Found = tuple[Address, ...] | NameNotFound

LOOKUPS_AT_ONCE = 256


class SystemResolver:
    """The resolver of the system, with its hosts file and its search list.

    A look-up cannot be cancelled, and its name server may keep it for half a minute. So each one has a thread of its
    own (the threads of the event loop are few, and are needed for other things), all who ask for the same name share
    one, and the threads do not hold up the end of the process.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[_Found]] = {}

    async def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """Find all addresses of a name.

        Args:
            host: the name in ASCII.
            port: 1 to 65535.

        Raises:
            NameNotFound: it has none, or too many look-ups are under way.
        """
        lookup = self._under_way.get(host) or self._start(host, port)
        found = await asyncio.shield(lookup)
        if isinstance(found, NameNotFound):
            raise NameNotFound(*found.args)
        return found

    def _start(self, host: str, port: int) -> asyncio.Future[_Found]:
        if len(self._under_way) >= LOOKUPS_AT_ONCE:
            raise NameNotFound("too many names are being looked up")
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
            raise NameNotFound("no thread can be started to look the name up") from None
        self._under_way[host] = lookup
        return lookup


def _addresses(host: str, port: int) -> _Found:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception:  # noqa: BLE001 - all who ask for this name wait for an answer, whatever goes wrong
        return NameNotFound("the name has no address")
    # The same address may come once for each protocol; their order is the system's preference.
    return tuple(dict.fromkeys(ip_address(place[0]) for *_, place in found))
