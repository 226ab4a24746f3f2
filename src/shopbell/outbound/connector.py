"""The one guarded way out: no connection leaves but to an address that was judged a moment before."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from httpcore2 import SOCKET_OPTION, AsyncNetworkBackend, AsyncNetworkStream, WriteError

from shopbell.outbound.addresses import SETTING, AllowList, is_denied, unmapped
from shopbell.outbound.failures import (
    AddressDenied,
    ConnectionLost,
    ConnectRefused,
    ConnectTimeout,
    NameNotFound,
    TlsFailed,
)
from shopbell.outbound.hosts import Address
from shopbell.outbound.lookups import Resolve

Dial = Callable[[Address, int], Awaitable[socket.socket]]
"""Connect to an address and a port; raises ``OSError``."""

ADDRESSES_TRIED = 8
_NO_TIMEOUT_S = 60.0


class GuardedBackend(AsyncNetworkBackend):
    """Looks a name up once, judges every address found, and connects to one of exactly these.

    Args:
        allow: what the operator lets through although it is private.
        encrypted: whether TLS follows; without it, only what is allowed is reached at all.
        resolve: finds the addresses of a name.
        dial: connects to an address.
        dns_timeout_s: seconds for a look-up.
    """

    def __init__(
        self, allow: AllowList, *, encrypted: bool, resolve: Resolve, dial: Dial, dns_timeout_s: float
    ) -> None:
        self._allow = allow
        self._encrypted = encrypted
        self._resolve = resolve
        self._dial = dial
        self._dns_timeout_s = dns_timeout_s

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the name is httpcore2's
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> AsyncNetworkStream:
        """Connect to a host.

        Args:
            host: a name in ASCII, or an address.
            port: 1 to 65535.
            timeout: seconds for all of its addresses together, the look-up not included.
            local_address: not used.
            socket_options: not used.

        Raises:
            OutboundFailure: it was refused, or did not come about.
        """
        addresses = await self._addresses(host, port)
        for address in addresses:
            if not self._allow.allows(host, address, port) and (not self._encrypted or is_denied(address)):
                raise AddressDenied(f"the receiver's address is private, and {SETTING} does not allow it")
        connection = await self._first(addresses[:ADDRESSES_TRIED], port, timeout or _NO_TIMEOUT_S)
        try:
            return Stream(*await asyncio.open_connection(sock=connection))
        except BaseException:
            connection.close()
            raise

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        with contextlib.suppress(ValueError):
            return (ip_address(host),)
        try:
            async with asyncio.timeout(self._dns_timeout_s):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise NameNotFound("looking up the name took too long") from None
        if not addresses:
            raise NameNotFound("the name has no address")
        return addresses

    async def _first(self, addresses: Sequence[Address], port: int, timeout_s: float) -> socket.socket:
        """A connection to the first address that takes one; each has its share of the time that is left."""
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
            raise ConnectTimeout("no connection came about in time")
        raise ConnectRefused("the receiver takes no connections")


def _check_peer(connection: socket.socket, address: Address, port: int) -> None:
    """Whatever stands between us and the network: the other end must be what was judged."""
    try:
        peer, peer_port, *_ = connection.getpeername()
        if (unmapped(ip_address(peer)), peer_port) == (unmapped(address), port):
            return
    except (OSError, ValueError):
        connection.close()
        raise ConnectRefused("the connection broke at once") from None
    connection.close()
    raise AddressDenied("the connection led to another address than was judged")


async def dial(address: Address, port: int) -> socket.socket:
    """Connect to an address by TCP.

    Args:
        address: where to.
        port: 1 to 65535.

    Raises:
        OSError: it did not come about.
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


class Stream(AsyncNetworkStream):
    """A connection as httpcore2 wants it.

    It knows no time limits but that of TLS: the deadline of the whole attempt, above, is the only one that a peer that
    sends a byte now and then cannot put off.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answered = False

    @property
    def ended(self) -> bool:
        """Whether the peer has ended the connection."""
        return self._reader.at_eof()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """Some bytes, as soon as there are any; none at the end.

        Raises:
            TlsFailed: the peer found fault with the encryption after all.
            ConnectionLost: the connection broke, or ended before any answer.
        """
        try:
            received = await self._reader.read(max_bytes)
        except ssl.SSLError as error:
            raise TlsFailed(_reason(error)) from None
        except OSError:
            raise ConnectionLost("the receiver broke off the connection") from None
        if not received and not self._answered:
            raise ConnectionLost("the receiver ended the connection without an answer")
        self._answered = True
        return received

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Send bytes.

        Raises:
            WriteError: the connection broke; httpcore2 goes on to read, because a refusal may have come before.
        """
        self._answered = False
        self._writer.write(buffer)
        try:
            await self._writer.drain()
        except OSError:
            raise WriteError from None

    async def aclose(self) -> None:
        """End the connection at once: a peer that does not read could put off a polite end for ever."""
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncNetworkStream:
        """Encrypt the connection, and make sure of who the peer is.

        Raises:
            TlsFailed: it speaks no TLS, or its certificate cannot be trusted.
            ConnectTimeout: it took too long.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError:
            self._writer.transport.abort()
            raise ConnectTimeout("no encryption came about in time") from None
        except ssl.SSLError as error:
            self._writer.transport.abort()
            raise TlsFailed(_reason(error)) from None
        except OSError:
            self._writer.transport.abort()
            raise TlsFailed("the receiver broke off while encryption was negotiated") from None
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks for: the TLS session, and whether an idle connection has ended or babbles."""
        if info == "is_readable":
            return self._writer.is_closing() or self._reader.at_eof() or bool(self._reader.exception())
        return self._writer.get_extra_info(info)


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the receiver's certificate cannot be trusted: {error.verify_message}"
    return f"no encryption came about: {error.reason}"
