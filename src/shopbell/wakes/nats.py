"""Wake-ups by NATS.

Each link is a client of its own that does not reconnect: the relay does, in the same way for every kind of link. The
library's own reconnecting gives up for good when the server once refuses the password, as it may while that is changed.
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
from shopbell.wakes.relay import Link, Relay

SUBJECT = "shopbell.wakes"
CONNECT_TIMEOUT_S = 3
CLOSE_TIMEOUT_S = 0.5
FLUSH_TIMEOUT_S = 3
PING_EVERY_S = 10
_DEFAULT_PORT = 4222


class NoTls(Error):
    """The address says ``tls:``, and the server offers none."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a NATS server is, and what it wants to hear; shown without its secrets.

    Args:
        host: its name or address.
        port: its TCP port.
        tls: whether nothing but TLS will do; without it TLS is used where the server asks for it.
        user: the user's name; empty for none.
        password: the user's password.
        token: instead of user and password; empty for none.
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


def address_of(url: str) -> Address:
    """Read the address of a server.

    Args:
        url: ``nats://host:4222`` or ``tls://host:4222``, with ``user:password@`` or ``token@`` before the host, in
            percent-encoding.

    Raises:
        SettingsError: it is none; the text does not quote it.
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
    """A relay over a NATS server that all processes have in common.

    Args:
        url: its address, see :func:`address_of`.

    Raises:
        SettingsError: the address is none.
    """
    address = address_of(url)

    @asynccontextmanager
    async def connect(heard: Callable[[str], None]) -> AsyncIterator[Link]:
        async def receive(message: Msg) -> None:
            heard(message.data.decode(errors="replace"))

        async with _connected(address) as link:
            await link.client.subscribe(SUBJECT, cb=receive)
            # Twice: the library writes a flush's own PING before what is pending, so that the first answer does not
            # mean that the server knows of the subscription.
            await link.client.flush(FLUSH_TIMEOUT_S)
            await link.client.flush(FLUSH_TIMEOUT_S)
            yield link

    return Relay("NATS", connect)


async def round_trip_ms(address: Address) -> float:
    """Milliseconds to the server and back.

    Raises:
        Exception: of whatever kind, when it is not to be reached or refuses.
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
        await self.client.flush(FLUSH_TIMEOUT_S)  # a server that vanished is noticed at once

    async def until_lost(self) -> NoReturn:
        # The library says that it closed after it has closed, which a vanished server can delay.
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

    def given(secret: str) -> Callable[[], str] | None:
        """Say a secret, but not in the clear where TLS was asked for: the library only looks what the server wants."""

        def say() -> str:
            _insist_on_tls(address, client)
            return secret

        return say if secret else None

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await client.connect(
                str(address),
                name="shopbell",
                user=given(address.user),
                password=given(address.password),
                token=given(address.token),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                ping_interval=PING_EVERY_S,
                no_echo=True,
                closed_cb=note_closed,
                error_cb=note_error,
            )
        _insist_on_tls(address, client)
        yield _NatsLink(client, closed)
    except NoServersError:
        if errors:  # which says why, as this does not
            raise errors[0] from None
        raise
    finally:
        with suppress(Exception):  # after a failed TLS handshake the library would wait for ever
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.close()


def _insist_on_tls(address: Address, client: Client) -> None:
    # The library has no other way to see whether it will be, or is, talking TLS.
    if address.tls and not client._server_info.get("tls_required"):  # noqa: SLF001
        raise NoTls("nats: the server offers no TLS")
