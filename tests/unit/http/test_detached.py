"""A detached response stays open after the server has forgotten its request."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from shopbell.http.server.connection import Connection, Connections, Limits
from shopbell.http.server.detached import DETACH, LAST_S, UNEXPECTED_BYTES, Detached
from shopbell.http.server.protocol import Protocol
from shopbell.http.server.unread import STALL_S

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
LIMITS = Limits(
    header_limit_bytes=16_384,
    header_count_limit=100,
    header_timeout_s=1e6,
    body_timeout_s=1e6,
    keep_alive_timeout_s=1e6,
    connection_limit=100,
)
LONG_S = 60
HEAD = b"HTTP/1.1 200 OK\r\nx-id: 1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

NewLoop = Callable[[], asyncio.AbstractEventLoop]

pytestmark = pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)


class Handler:
    """An application's part of one response.

    It writes ``begin`` when it has the connection.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connection: Detached | None = None

    def opened(self, connection: Detached) -> None:
        """Keep the connection."""
        self.calls.append("opened")
        self.connection = connection
        connection.write(b"begin")

    def writable(self) -> None:
        """Note the call."""
        self.calls.append("writable")

    def closed(self) -> None:
        """Note the call."""
        self.calls.append("closed")


class Visit:
    """A client, and both sides of the server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connections: Connections, handler: Handler
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.connections = connections
        self.handler = handler

    async def open(self, request: bytes = REQUEST, head: bytes = HEAD) -> Detached:
        """Send a request, and return the server's side of its open response."""
        self.writer.write(request)
        assert await self.reader.readexactly(len(head)) == head
        assert self.handler.connection is not None
        return self.handler.connection

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(LONG_S):
            while not is_so():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _visiting() -> AsyncIterator[Visit]:
    handler = Handler()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": DETACH, "status": 200, "headers": [(b"x-id", b"1")], "handler": handler})

    loop = asyncio.get_running_loop()
    how: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    config = uvicorn.Config(app, http=Protocol, interface="asgi3", proxy_headers=False, **how)
    config.load()
    connections = Connections(LIMITS)
    server = await loop.create_server(lambda: Protocol(config, connections, {}, loop), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield Visit(reader, writer, connections, handler)
    finally:
        for connection in tuple(connections.connections):
            cast("Connection", connection).transport.abort()
        writer.close()
        server.close()
        await asyncio.gather(*connections.tasks)


def _run(new_loop: NewLoop, scenario: Callable[[Visit], Awaitable[None]]) -> None:
    async def main() -> None:
        async with _visiting() as visit:
            await scenario(visit)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_a_detached_response_is_sent_in_chunks_and_ends_with_its_connection(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        connection = await visit.open()
        connection.write(b"more")
        connection.write(b"")
        connection.end()
        connection.write(b"too late")
        assert await visit.reader.read() == b"5\r\nbegin\r\n4\r\nmore\r\n0\r\n\r\n"
        await visit.until(lambda: visit.handler.calls == ["opened", "closed"])
        assert not visit.connections.connections

    _run(new_loop, scenario)


def test_http_1_0_gets_no_chunks(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        head = HEAD.replace(b"transfer-encoding: chunked\r\n", b"")
        connection = await visit.open(b"GET / HTTP/1.0\r\n\r\n", head)
        connection.end()
        assert await visit.reader.read() == b"begin"

    _run(new_loop, scenario)


def test_the_server_forgets_the_request_at_once(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        gc.collect()
        gc.disable()  # what only the garbage collector frees stays for long
        try:
            visit.writer.write(REQUEST[:9])
            await visit.until(lambda: bool(visit.connections.connections))
            (parsed,) = visit.connections.connections
            former = weakref.ref(cast("Connection", parsed))
            del parsed
            await visit.open(REQUEST[9:])
            await visit.until(lambda: not visit.connections.tasks and former() is None)
        finally:
            gc.enable()

    _run(new_loop, scenario)


def test_the_handler_learns_that_its_client_has_gone(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        connection = await visit.open()
        visit.writer.transport.abort()
        await visit.until(lambda: visit.handler.calls == ["opened", "closed"])
        connection.write(b"to nobody")
        connection.end()
        assert not visit.connections.connections
        assert not visit.connections.watched

    _run(new_loop, scenario)


@pytest.mark.parametrize("is_early", [False, True], ids=["later", "with the request"])
def test_a_client_that_closes_its_side_gets_the_end(new_loop: NewLoop, is_early: bool) -> None:
    async def scenario(visit: Visit) -> None:
        if is_early:
            visit.writer.write(REQUEST)
            visit.writer.write_eof()
            assert await visit.reader.read() == HEAD + b"5\r\nbegin\r\n0\r\n\r\n"
        else:
            await visit.open()
            visit.writer.write_eof()
            assert await visit.reader.read() == b"5\r\nbegin\r\n0\r\n\r\n"
        await visit.until(lambda: visit.handler.calls == ["opened", "closed"])

    _run(new_loop, scenario)


def test_further_requests_are_ignored_and_a_flood_ends_the_response(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        connection = await visit.open(REQUEST + REQUEST)
        visit.writer.write(REQUEST)
        connection.write(b"more")
        assert await visit.reader.readexactly(19) == b"5\r\nbegin\r\n4\r\nmore\r\n"
        visit.writer.write(b"x" * (UNEXPECTED_BYTES + 1))
        await visit.until(lambda: visit.handler.calls == ["opened", "closed"])

    _run(new_loop, scenario)


def test_only_responses_with_unread_bytes_are_watched(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        connection = await visit.open()
        loop = asyncio.get_running_loop()
        await visit.until(lambda: not connection.transport.get_write_buffer_size())
        connection.check(loop.time())
        assert not visit.connections.watched
        connection.write(b"more")
        assert visit.connections.watched == {connection}

    _run(new_loop, scenario)


def test_a_client_that_does_not_read_is_cut_off_and_one_that_reads_again_is_continued(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        connection = await visit.open()
        loop = asyncio.get_running_loop()
        while connection.is_writable:
            connection.write(b"x" * 65_536)
            await asyncio.sleep(0)
        while visit.handler.calls != ["opened", "writable"]:
            assert await visit.reader.read(65_536)
        while connection.is_writable:
            connection.write(b"x" * 65_536)
            await asyncio.sleep(0)
        now_s = loop.time()
        connection.check(now_s)
        connection.check(now_s + STALL_S - 1)
        assert not connection.transport.is_closing()
        connection.check(now_s + STALL_S + 1)
        await visit.until(lambda: visit.handler.calls == ["opened", "writable", "closed"])

    _run(new_loop, scenario)


def test_a_client_that_has_not_read_earlier_responses_does_not_keep_up(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        await visit.until(lambda: bool(visit.connections.connections))
        transport = cast("Connection", next(iter(visit.connections.connections))).transport
        client = cast("asyncio.Transport", visit.writer.transport)
        client.pause_reading()
        turns = 0
        while turns < 10:  # until the sockets take no more
            turns += 1
            if transport.get_write_buffer_size() < HIGH_WATER_LIMIT // 2:
                transport.write(b"x" * 8_192)
                turns = 0
            await asyncio.sleep(0)
        transport.write(b"x" * (HIGH_WATER_LIMIT - transport.get_write_buffer_size()))
        visit.writer.write(REQUEST)  # the head of its response makes the transport pause
        await visit.until(lambda: visit.handler.connection is not None)
        assert visit.handler.connection is not None
        assert not visit.handler.connection.is_writable
        client.resume_reading()
        while visit.handler.calls != ["opened", "writable"]:
            assert await visit.reader.read(65_536)
        assert visit.handler.connection.is_writable

    _run(new_loop, scenario)


def test_a_shutdown_ends_the_response_even_if_nobody_reads_it(new_loop: NewLoop) -> None:
    async def scenario(visit: Visit) -> None:
        connection = await visit.open()
        while connection.is_writable:
            connection.write(b"x" * 65_536)
            await asyncio.sleep(0)
        connection.shutdown()
        now_s = asyncio.get_running_loop().time()
        connection.check(now_s)
        assert visit.handler.calls == ["opened"]
        connection.check(now_s + LAST_S)
        await visit.until(lambda: visit.handler.calls == ["opened", "closed"])

    _run(new_loop, scenario)
