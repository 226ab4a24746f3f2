"""Webhook receivers that fail in every way and record what they got."""

import asyncio
import json
import random
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.certificates import Authority
from harness.ports import free_port

WAYS = ("reset", "hang", "drip", "redirect", "client_error", "server_error", "busy", "huge", "no_http", "half")
"""In which a request that has arrived can fail; beside these a receiver refuses connections, and breaks TLS."""

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_ANSWERS = {
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
    "client_error": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "server_error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
    "busy": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
    "no_http": b"220 mail.example ESMTP\r\n",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
}


@dataclass
class Request:
    """One request that arrived whole."""

    at_s: float
    id: str
    body: bytes
    headers: dict[str, str]
    acknowledged_at_s: float | None = None
    method: str = "POST"
    at_ms: float = field(default_factory=lambda: time.time() * 1_000)

    @property
    def late_ms(self) -> float:
        """How long after its event it came, the commit included."""
        happened_ms: int = json.loads(self.body)["timestamp"]
        return self.at_ms - happened_ms

    @property
    def data(self) -> dict[str, Any]:
        """What it tells."""
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


@dataclass
class Receiver:
    """One receiver.

    Args:
        share: of the requests that fail, 0 to 1; the same share of the time it refuses connections.
        ways: in which they fail.
        tls: what it shows, and what it shows where it is to be distrusted.
        delay_s: how long it takes for an answer.
    """

    share: float = 0.0
    ways: tuple[str, ...] = WAYS
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
    delay_s: float = 0.0
    requests: list[Request] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    failed: int = 0
    _listener: socket.socket | None = None
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://localhost:{self.port}/hook" if self.tls else f"http://127.0.0.1:{self.port}/hook"

    async def open(self) -> None:
        """Listen."""
        # Not with asyncio's server: if it is closed during a connect, it drops the connection and leaves it open.
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._let_in, self._listener, self._encryption())

    def _let_in(self, listener: socket.socket, encryption: ssl.SSLContext | None) -> None:
        with suppress(OSError):  # who wanted to come in has gone
            connection, _ = listener.accept()
            task = asyncio.get_running_loop().create_task(self._meet(connection, encryption))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: connection.close())

    async def _meet(self, connection: socket.socket, encryption: ssl.SSLContext | None) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # the handshake has failed
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=encryption)
            await self._serve(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def shut(self) -> None:
        """Refuse new connections; those that are there go on."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def close(self) -> None:
        """End everything."""
        await self.shut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _encryption(self) -> ssl.SSLContext | None:
        if self.tls is None:
            return None
        trusted, untrusted = self.tls

        def choose(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
            if random.random() < self.share:
                self.failed += 1
                connection.context = untrusted

        trusted.sni_callback = choose  # type: ignore[assignment]  # its type names the socket only
        return trusted

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone, or was killed
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and answer it; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(time.monotonic(), headers["webhook-id"], body, headers, method=head.partition(" ")[0])
        self.requests.append(request)
        if random.random() < self.share:
            self.failed += 1
            await self._fail(random.choice(self.ways), reader, writer)
            return False
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        writer.write(_OK)
        await writer.drain()
        request.acknowledged_at_s = time.monotonic()
        return True

    async def _fail(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if way == "reset":
            at_once = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        elif way == "hang":
            await reader.read(-1)
        elif way == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            while not reader.at_eof():
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)
        elif way == "huge":
            writer.write(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(64):
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        else:
            writer.write(_ANSWERS[way])
            await writer.drain()


class Receivers:
    """Receivers, in an event loop of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._all: list[Receiver] = []
        self.certificates = folder / "trusted.pem"
        """The authorities that a worker must trust (``SSL_CERT_FILE``)."""
        self._authority.save(self.certificates)

    def add(self, *, tls: bool = False, **how: Any) -> Receiver:
        """A receiver that listens."""
        contexts = None
        if tls:
            (self._folder / "bad").mkdir()
            contexts = (
                self._authority.server("localhost", self._folder),
                Authority("Somebody").server("localhost", self._folder / "bad"),
            )
        receiver = Receiver(tls=contexts, **how)
        self._do(receiver.open())
        self._all.append(receiver)
        return receiver

    def refuse(self, receiver: Receiver) -> None:
        """Let it refuse connections."""
        self._do(receiver.shut())

    def accept(self, receiver: Receiver) -> None:
        """Let it listen again."""
        self._do(receiver.open())

    @contextmanager
    def flapping(self, receiver: Receiver, period_s: float = 1.0) -> Iterator[None]:
        """Let it refuse connections for its share of the time while the block runs."""
        ended = threading.Event()

        def flap() -> None:
            while not ended.wait(period_s * (1 - receiver.share)):
                self.refuse(receiver)
                ended.wait(period_s * receiver.share)
                self.accept(receiver)

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """End them all."""
        for receiver in self._all:
            self._do(receiver.close())
        self._do(asyncio.sleep(0.1))  # what was ended is closed by the loop's next rounds
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(what, self._loop)
        return future.result(60)


def by_thread(requests: list[Request]) -> dict[int, list[Request]]:
    """Requests by the conversation that they tell of, in the order of their arrival."""
    threads: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        threads[request.data["customerThreadId"]].append(request)
    return threads


def out_of_order(requests: list[Request]) -> list[str]:
    """The ids of the requests that came before an earlier message of the conversation was acknowledged."""
    early: list[str] = []
    for of_thread in by_thread(requests).values():
        acknowledged: set[int] = set()
        events = sorted(
            [(request.at_s, 1, request) for request in of_thread]
            + [(request.acknowledged_at_s, 0, request) for request in of_thread if request.acknowledged_at_s],
            key=lambda event: event[:2],
        )
        for _, is_arrival, request in events:
            sequence = request.data["threadSequence"]
            if not is_arrival:
                acknowledged.add(sequence)
            elif not acknowledged.issuperset(range(1, sequence)):
                early.append(request.id)
    return early


def repeated(requests: list[Request]) -> int:
    """How many acknowledged requests told what had been acknowledged before."""
    acknowledged = [request.id for request in requests if request.acknowledged_at_s]
    return len(acknowledged) - len(set(acknowledged))


def changed(requests: list[Request]) -> list[str]:
    """The ids that came with more than one body."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for request in requests:
        bodies[request.id].add(request.body)
    return [id_ for id_, of_id in bodies.items() if len(of_id) > 1]


def wait_for(done: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    """Wait until something is so, and fail when it does not become so in time."""
    deadline_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline_s, otherwise
        time.sleep(0.05)
