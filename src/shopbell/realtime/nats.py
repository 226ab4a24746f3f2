"""Notifications between processes over NATS.

Each link is a separate client that does not reconnect; the relay reconnects every kind of link in the same way. The
library's own reconnect stops forever if the server rejects the password once, for example during a password change.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoServersError

from shopbell.errors import SettingsError
from shopbell.realtime.relay import Link, Relay

SUBJECT = "shopbell.wakes"
CONNECT_TIMEOUT_S = 3
CLOSE_TIMEOUT_S = 0.5
FLUSH_TIMEOUT_S = 3
PING_EVERY_S = 10
_DEFAULT_PORT = 4222


class NoTls(Error):
    """The URL says ``tls:``, but the server does not offer TLS."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address and credentials of a NATS server; its ``repr`` hides secrets.

    Args:
        host: host name or IP address.
        port: TCP port.
        tls: whether TLS is required; otherwise TLS is used if the server requires it.
        user: user name; empty for none.
        password: password of the user.
        token: replaces user and password; empty for none.
    """

    host: str
    port: int
    tls: bool
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


def parse_nats_url(url: str) -> Address:
    """Parse the URL of a server.

    Args:
        url: ``nats://host:4222`` or ``tls://host:4222``, optionally with a percent-encoded ``user:password@`` or
            ``token@`` before the host.

    Raises:
        SettingsError: the URL is invalid; the message does not quote it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("nats", "tls") or not host:
        raise SettingsError("SHOPBELL_NATS_URL: must look like nats://user:password@host:4222 or tls://token@host:4222")
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    secrets = {"token": name} if parts.password is None else {"user": name, "password": password}
    return Address(host, port or _DEFAULT_PORT, parts.scheme == "tls", **secrets)


def nats_relay(url: str) -> Relay:
    """Create a relay over a NATS server that all processes use.

    Args:
        url: see :func:`parse_nats_url`.

    Raises:
        SettingsError: the URL is invalid.
    """
    address = parse_nats_url(url)

    @asynccontextmanager
    async def connect(heard: Callable[[str], None]) -> AsyncIterator[Link]:
        async def receive(message: Msg) -> None:
            heard(message.data.decode(errors="replace"))

        async with _connected(address) as link:
            await link.client.subscribe(SUBJECT, cb=receive)
            # Twice: the library writes the PING of a flush before pending data, so the first response does not prove
            # that the server has the subscription.
            await link.client.flush(FLUSH_TIMEOUT_S)
            await link.client.flush(FLUSH_TIMEOUT_S)
            yield link

    return Relay("NATS", connect)


async def round_trip_ms(address: Address) -> float:
    """Measure the round trip to the server in milliseconds.

    Raises:
        Exception: of any type, if the server is not reachable or refuses the connection.
    """
    async with _connected(address) as link:
        began_s = time.perf_counter()
        await link.client.flush(FLUSH_TIMEOUT_S)
        return (time.perf_counter() - began_s) * 1000


class _NatsLink:
    def __init__(self, client: Client, closed: asyncio.Event) -> None:
        self.client = client
        self._closed = closed

    async def send(self, payload: str) -> None:
        await self.client.publish(SUBJECT, payload.encode())
        await self.client.flush(FLUSH_TIMEOUT_S)  # detects a dead server at once

    async def until_lost(self) -> NoReturn:
        # The library calls closed_cb only after it has closed, which a dead server can delay.
        while not self.client.is_closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_EVERY_S):
                    await self._closed.wait()
        raise ConnectionError("NATS closed the connection")


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[_NatsLink]:
    client = Client()
    closed = asyncio.Event()
    errors: list[Exception] = []

    async def note_closed() -> None:
        closed.set()

    async def note_error(error: Exception) -> None:
        errors[:] = [error]

    def guarded(secret: str) -> Callable[[], str] | None:
        """Return a callback that reveals a secret, but never without a required TLS, which the library does not
        check."""

        def reveal() -> str:
            _require_tls(address, client)
            return secret

        return reveal if secret else None

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await client.connect(
                str(address),
                name="shopbell",
                user=guarded(address.user),
                password=guarded(address.password),
                token=guarded(address.token),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                ping_interval=PING_EVERY_S,
                no_echo=True,
                closed_cb=note_closed,
                error_cb=note_error,
            )
        _require_tls(address, client)
        yield _NatsLink(client, closed)
    except NoServersError:
        if errors:  # it contains the reason, unlike NoServersError
            raise errors[0] from None
        raise
    finally:
        with suppress(Exception):  # after a failed TLS handshake the library would wait forever
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.close()


def _require_tls(address: Address, client: Client) -> None:
    # The library offers no public way to find out whether the connection uses TLS.
    if address.tls and not client._server_info.get("tls_required"):  # noqa: SLF001
        raise NoTls("nats: the server does not offer TLS")
