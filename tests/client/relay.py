"""A small HTTP server that stands before another one, and fails in the ways it is told."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Args:
        status: answer with it; 0 answers nothing and closes the connection, -1 resets it.
        headers: of that answer.
        body: of that answer.
        after: only after the server behind has done what was asked.
        hold_s: how long to keep silent first.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: bool = False
    hold_s: float = 0


@dataclass
class Relay:
    """Where it listens, what is still to go wrong, and what came."""

    port: int
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> list[str | None]:
        """The idempotency keys that came, in their order."""
        return [headers.get("idempotency-key") for headers in self.requests]


@contextmanager
def relay(behind: str = "") -> Iterator[Relay]:
    """Run one while the block runs, before the server at an address."""
    inner = httpx2.Client(base_url=behind, trust_env=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            facts.requests.append(
                {name.lower(): value for name, value in self.headers.items()}
                | {":method": self.command, ":path": self.path, ":body": body.decode()}
            )
            fault = facts.faults.pop(0) if facts.faults else None
            if fault is not None and not fault.after:
                return self._fail(fault)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP | {"host"}}
            answer = inner.request(self.command, self.path, content=body, headers=headers)
            if fault is not None:
                return self._fail(fault)
            return self._answer(answer.status_code, list(answer.headers.items()), answer.content)

        def _fail(self, fault: Fault) -> None:
            facts.ended.wait(fault.hold_s)
            if fault.status > 0:
                return self._answer(fault.status, list(fault.headers), fault.body)
            self.close_connection = True
            if fault.status < 0:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
            return None

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
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
            with suppress(ConnectionError):  # the client gave up
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    facts = Relay(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield facts
    finally:
        facts.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
        inner.close()
