"""HTTP by hand: sends exact bytes and returns exact bytes."""

import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came over the wire: header names in lower case, in their order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The only header of that name."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def exchange(port: int, request: bytes, *, timeout_s: float = 60) -> RawAnswer:
    """Send the bytes on a connection of their own and read one answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> RawAnswer:
    """Read one answer; its length is given by Content-Length or by the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    lengths = [int(value) for name, value in headers if name == "content-length"]
    if lengths:
        while len(body) < lengths[0]:
            body += _some(connection)
    else:
        while chunk := connection.recv(65_536):
            body += chunk
    return RawAnswer(int(first.split(" ")[1]), headers, body)


def _some(connection: socket.socket) -> bytes:
    chunk = connection.recv(65_536)
    assert chunk, "the server closed the connection before its answer was complete"
    return chunk


def post(path: str, body: bytes, headers: list[tuple[str, str]]) -> bytes:
    """The bytes of a POST with exactly these headers, and the right Host and Content-Length."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
