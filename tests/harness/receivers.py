"""Receivers on loopback that answer, hang, flood or disconnect."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import uvloop

from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import HttpResponse, OutboundClient
from shopbell.safe_http.hosts import Address

LOOPBACK = AllowList.parse("127.0.0.0/8")
RECEIVER = "receiver.example"
LONG_S = 20.0
SHORT_S = 1.0
"""A deadline that is meant to pass, and not before a busy machine has come to where it shall pass."""

Behaviour = Callable[["Receiver", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """Reads each request whole and then behaves as it is told; ends every connection after that."""

    behaviour: Behaviour
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def listening(self, encryption: ssl.SSLContext | None = None) -> AsyncIterator["Receiver"]:
        """Listen on loopback while the block runs."""
        tasks: set[asyncio.Task[None]] = set()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.get_running_loop().create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=encryption)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # sockets are closed in the loop's next round

    async def request(self, reader: asyncio.StreamReader) -> None:
        """Read one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.behaviour(self, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.transport.abort()
            self.gone.set()


def answering(answer: bytes, *, hold: bool = False) -> Behaviour:
    """Respond to each request with these bytes; ``hold`` keeps the connection open."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(answer)
        await writer.drain()
        while hold:
            await receiver.request(reader)
            writer.write(answer)

    return behave


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def hang(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never respond."""
    await reader.read(-1)


async def drip(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond one byte at a time, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_headers(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a response, and send its headers one byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond without an end, as fast as the client reads."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        await writer.drain()


async def reset(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break off once the request is there, impolitely."""
    await receiver.request(reader)
    break_off(writer)


def break_off(writer: asyncio.StreamWriter) -> None:
    """Reset a connection."""
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in the event loop of the server, and in the one of computers that have no such."""
    for loop_factory in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test())


async def loopback(host: str, port: int) -> Sequence[Address]:
    """Names of these tests are all on loopback."""
    assert host.endswith(".example")
    return [ip_address("127.0.0.1")]


async def post(
    client: OutboundClient, url: str, *, timeout_s: float = LONG_S, connect_timeout_s: float = LONG_S, **more: Any
) -> HttpResponse:
    """Send a small event."""
    headers = {"Content-Type": "application/json", "webhook-id": "msg_1"}
    given: dict[str, Any] = {"headers": headers, "content": b'{"a":1}'} | more
    return await client.post(url, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s, **given)
