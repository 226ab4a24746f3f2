"""Open outbound connections, only to addresses that were just checked."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, ip_address

from shopbell.safe_http.addresses import SETTING, AllowList, is_denied, unmapped
from shopbell.safe_http.dns import Resolve
from shopbell.safe_http.errors import AddressDenied, ConnectRefused, ConnectTimeout, NameNotFound
from shopbell.safe_http.hosts import Address

Dial = Callable[[Address, int], Awaitable[socket.socket]]
"""Connect to an address and a port; raises ``OSError``."""

ADDRESSES_TRIED = 8


class GuardedConnector:
    """Resolves a name once, checks every address, and connects to one of these.

    Args:
        allow: private addresses that the operator allows.
        resolve: finds the addresses of a name.
        dial: connects to an address.
        dns_timeout_s: timeout of a lookup.
    """

    def __init__(self, allow: AllowList, *, resolve: Resolve, dial: Dial, dns_timeout_s: float) -> None:
        self._allow = allow
        self._resolve = resolve
        self._dial = dial
        self._dns_timeout_s = dns_timeout_s

    async def connect(self, host: str, port: int, *, encrypted: bool, timeout_s: float) -> socket.socket:
        """Connect to a host.

        Args:
            host: an ASCII name or an address.
            port: 1 to 65535.
            encrypted: whether TLS follows; without TLS, only allowed addresses are reached.
            timeout_s: timeout for all its addresses together, without the lookup.

        Raises:
            OutboundFailure: the address is denied or the connection failed.
        """
        addresses = await self._addresses(host, port)
        for address in addresses:
            if not self._allow.allows(host, address, port) and (not encrypted or is_denied(address)):
                raise AddressDenied(f"the receiver's address is private, and {SETTING} does not allow it")
        return await self._first(addresses[:ADDRESSES_TRIED], port, timeout_s)

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        with contextlib.suppress(ValueError):
            return (ip_address(host),)
        try:
            async with asyncio.timeout(self._dns_timeout_s):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise NameNotFound("the DNS lookup timed out") from None
        if not addresses:
            raise NameNotFound("the name has no address")
        return addresses

    async def _first(self, addresses: Sequence[Address], port: int, timeout_s: float) -> socket.socket:
        """Connect to the first address that accepts; each gets a share of the remaining time."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        timed_out = False
        for number, address in enumerate(addresses):
            share_s = (deadline_s - loop.time()) / (len(addresses) - number)
            try:
                async with asyncio.timeout(share_s):
                    connection = await self._dial(address, port)
            except TimeoutError:  # an OSError, too
                timed_out = True
            except OSError:
                continue
            else:
                _check_peer(connection, address, port)
                return connection
        if timed_out:
            raise ConnectTimeout("the connection timed out")
        raise ConnectRefused("the receiver accepts no connections")


def _check_peer(connection: socket.socket, address: Address, port: int) -> None:
    """Check that the peer is the checked address, even behind a proxy or a translated network."""
    try:
        peer, peer_port, *_ = connection.getpeername()
        if (unmapped(ip_address(peer)), peer_port) == (unmapped(address), port):
            return
    except (OSError, ValueError):
        connection.close()
        raise ConnectRefused("the connection broke immediately") from None
    connection.close()
    raise AddressDenied("the connection reached another address than the checked one")


async def dial(address: Address, port: int) -> socket.socket:
    """Connect to an address over TCP.

    Raises:
        OSError: the connection failed.
    """
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection
