"""Clients that do not read their response are cut off in time."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from shopbell.http.server.connection import Connection, Connections, Limits
from shopbell.http.server.protocol import Protocol
from shopbell.http.server.unread import STALL_BYTES, STALL_S

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
SOCKET_BUFFER_BYTES = 4_096
LIMITS = Limits(
    header_limit_bytes=16_384,
    header_count_limit=100,
    header_timeout_s=1e6,
    body_timeout_s=1e6,
    keep_alive_timeout_s=1e6,
    connection_limit=100,
)
SMALL_BYTES = 40_000
"""More than both sockets hold, and less than what makes the server wait before it writes more."""

pytestmark = pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with as many bytes as the path says, in one piece or, below ``/stream``, in small ones for ever."""
    kind, size_bytes = scope["path"].removeprefix("/").split("/")
    if kind == "stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(size_bytes) // 100):
            await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    else:
        headers = [(b"content-length", size_bytes.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * int(size_bytes)})


class Visit:
    """A client with small buffers, and the server's side of its connection."""

    def __init__(self, client: socket.socket, connections: Connections) -> None:
        self._client = client
        self.connections = connections
        self._loop = asyncio.get_running_loop()

    @property
    def connection(self) -> Connection:
        """The server's side."""
        (connection,) = self.connections.connections
        return cast("Connection", connection)

    async def ask(self, *paths: str, header: str = "") -> None:
        """Send requests, and wait until answers wait to be read."""
        requests = (f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n" for path in paths)
        await self._loop.sock_sendall(self._client, "".join(requests).encode())
        async with asyncio.timeout(60):
            while not self.connections.connections or self.unread_bytes < SMALL_BYTES // 2:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)

    @property
    def unread_bytes(self) -> int:
        """What the server has for the client."""
        return self.connection.transport.get_write_buffer_size()

    async def read(self, size_bytes: int) -> None:
        """Read until the server has so many bytes less for the client."""
        enough_bytes = self.unread_bytes - size_bytes
        async with asyncio.timeout(60):
            while self.unread_bytes > enough_bytes:
                assert await self._loop.sock_recv(self._client, SOCKET_BUFFER_BYTES)

    async def is_cut_off(self, *, after_s: float) -> bool:
        """Look at the connection as the server does every half second, now and so much later."""
        now_s = self._loop.time()
        for passed_s in (0, after_s / 2, after_s):
            self.connection.check(now_s + passed_s)
            await asyncio.sleep(0.05)  # the transport tells of its end a moment later
            if not self.connections.connections:
                return True
        return False


@asynccontextmanager
async def _visiting(app: ASGIApp) -> AsyncIterator[Visit]:
    loop = asyncio.get_running_loop()
    how: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    config = uvicorn.Config(app, http=Protocol, interface="asgi3", proxy_headers=False, **how)
    config.load()
    connections = Connections(LIMITS)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        client.setblocking(False)
        server = await loop.create_server(lambda: Protocol(config, connections, {}, loop), sock=listener)
        try:
            await loop.sock_connect(client, listener.getsockname())
            yield Visit(client, connections)
        finally:
            for connection in tuple(connections.connections):
                cast("Connection", connection).transport.abort()
            server.close()
            await asyncio.gather(*connections.tasks)


def _run(new_loop: Callable[[], asyncio.AbstractEventLoop], scenario: Any) -> None:
    async def main() -> None:
        async with _visiting(_answer) as visit:
            await scenario(visit)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize(
    ("paths", "header"),
    [
        ([f"/whole/{SMALL_BYTES}"], ""),
        ([f"/whole/{SMALL_BYTES}"], "Connection: close\r\n"),
        (["/whole/100"] * (SMALL_BYTES // 100), ""),
        ([f"/stream/{SMALL_BYTES}"], ""),
        ([f"/whole/{10 * STALL_BYTES}"], ""),
    ],
    ids=["an answer", "the last answer", "many answers", "a stream", "a large answer"],
)
def test_a_client_that_never_reads_is_cut_off(
    new_loop: Callable[[], asyncio.AbstractEventLoop], paths: list[str], header: str
) -> None:
    async def scenario(visit: Visit) -> None:
        await visit.ask(*paths, header=header)
        assert not await visit.is_cut_off(after_s=STALL_S - 1)
        assert await visit.is_cut_off(after_s=STALL_S + 1)

    _run(new_loop, scenario)


def test_a_client_that_reads_slowly_is_not_cut_off(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario(visit: Visit) -> None:
        await visit.ask(f"/whole/{10 * STALL_BYTES}")
        for _ in range(4):
            assert not await visit.is_cut_off(after_s=STALL_S - 1)
            await visit.read(STALL_BYTES)
            assert not await visit.is_cut_off(after_s=STALL_S + 1)

    _run(new_loop, scenario)


def test_a_client_that_reads_everything_late_is_not_cut_off(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario(visit: Visit) -> None:
        await visit.ask(f"/whole/{SMALL_BYTES}")
        assert not await visit.is_cut_off(after_s=STALL_S - 1)
        await visit.read(visit.unread_bytes)
        assert not await visit.is_cut_off(after_s=10 * STALL_S)

    _run(new_loop, scenario)


def test_the_server_forgets_a_connection_that_has_closed(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scenario(visit: Visit) -> None:
        await visit.ask(f"/whole/{SMALL_BYTES}")
        assert visit.connections.watched == {visit.connection}
        visit.connection.transport.abort()
        async with asyncio.timeout(60):
            while visit.connections.connections:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        assert not visit.connections.watched

    _run(new_loop, scenario)
