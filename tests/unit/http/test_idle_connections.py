"""An idle connection closes at its deadline, and a request that arrives at that moment gets its response."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from shopbell.http.server.connection import Connection, Connections, Limits
from shopbell.http.server.protocol import Protocol

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
KEEP_ALIVE_S = 10_000.0
LIMITS = Limits(
    header_limit_bytes=16_384,
    header_count_limit=100,
    header_timeout_s=1e6,
    body_timeout_s=1e6,
    keep_alive_timeout_s=KEEP_ALIVE_S,
    connection_limit=100,
)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

pytestmark = pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)


async def _respond(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def _ask_at_the_deadline(*, is_asked: bool) -> bytes:
    """Return what the client reads after its connection was idle until the deadline: all, or the first bytes."""
    loop = asyncio.get_running_loop()
    connections = Connections(LIMITS)
    config = uvicorn.Config(_respond, http=Protocol, log_config=None)
    config.load()
    server = await loop.create_server(lambda: Protocol(config, connections, {}), "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, REQUEST)
            assert (await loop.sock_recv(client, 65_536)).endswith(b"ok")
            (connection,) = connections.connections
            assert isinstance(connection, Connection)
            if is_asked:
                client.sendall(REQUEST)  # the loop has not read it when the sweep comes
            connection.check(loop.time() + KEEP_ALIVE_S + 1)
            return await loop.sock_recv(client, 65_536)


def _run(new_loop: Callable[[], asyncio.AbstractEventLoop], *, is_asked: bool) -> bytes:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_ask_at_the_deadline(is_asked=is_asked))


def test_an_idle_connection_closes_at_its_deadline(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    assert _run(new_loop, is_asked=False) == b""


def test_a_request_that_has_just_arrived_gets_its_response(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    assert _run(new_loop, is_asked=True).startswith(b"HTTP/1.1 200 ")
