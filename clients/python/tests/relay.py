"""A small HTTP proxy that fails as a test tells it to."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from shopbell_client import Shopbell

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Args:
        status: the status to respond with; 0 closes the connection without a response, -1 resets it.
        after: fail only after the server behind the relay has executed the request.
        hold_s: wait this long before the failure, in seconds.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: bool = False
    hold_s: float = 0


@dataclass
class Relay:
    """A running relay. ``faults`` apply to the next requests, in order; ``requests`` are those received so far."""

    port: int
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The relay's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> list[str | None]:
        """The idempotency keys of the requests."""
        return [headers.get("idempotency-key") for headers in self.requests]


@contextmanager
def relay(target: str = "") -> Iterator[Relay]:
    """Run a relay in front of the server at ``target``. Without a target, every request needs a fault."""
    inner = httpx2.Client(base_url=target, trust_env=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            running.requests.append(
                {name.lower(): value for name, value in self.headers.items()}
                | {":method": self.command, ":path": self.path, ":body": body.decode()}
            )
            fault = running.faults.pop(0) if running.faults else None
            if fault is not None and not fault.after:
                return self._fail(fault)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP | {"host"}}
            response = inner.request(self.command, self.path, content=body, headers=headers)
            if fault is not None:
                return self._fail(fault)
            return self._respond(response.status_code, list(response.headers.items()), response.content)

        def _fail(self, fault: Fault) -> None:
            running.stopped.wait(fault.hold_s)
            if fault.status > 0:
                return self._respond(fault.status, list(fault.headers), fault.body)
            self.close_connection = True
            if fault.status < 0:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
            return None

        def _respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client disconnected
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Relay(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        running.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
        inner.close()


def ask(response: object, call: Callable[[Shopbell], Any]) -> tuple[Any, Relay, Any]:
    """Make a call that gets one response. Return the result, the server and the request body."""
    with relay() as server, Shopbell(server.url, "token") as shop:
        server.faults = [Fault(200, body=json.dumps(response).encode())]
        result = call(shop)
    (request,) = server.requests
    return result, server, json.loads(request[":body"]) if request[":body"] else None


def path_of(server: Relay) -> str:
    """Return method and path of the only request."""
    (request,) = server.requests
    return f"{request[':method']} {request[':path']}"
