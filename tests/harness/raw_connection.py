"""A raw connection for tests of single bytes and timing."""

import ctypes
import os
import socket
import ssl
import struct
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.raw import RawAnswer
from harness.shop import WIDGET

HOST = b"Host: 127.0.0.1\r\n"
MIB = 1_048_576


class Wire:
    """One TCP connection to a server on this machine."""

    def __init__(self, port: int, *, timeout_s: float = 60, tls: ssl.SSLContext | None = None, host: str = "") -> None:
        self._opened_s = time.monotonic()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self._timeout_s = timeout_s
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    @property
    def open_for_s(self) -> float:
        """Seconds since just before it was opened: at least as long as the server has known it."""
        return time.monotonic() - self._opened_s

    def send(self, *parts: bytes) -> Self:
        """Send the bytes, each part separately."""
        for part in parts:
            self._socket.sendall(part)
        return self

    def end(self) -> Self:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> Self:
        """Break the connection off, as a client that crashes does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        return self

    def drip(self, part: bytes, *, every_s: float, at_most_s: float) -> float:
        """Send a part again and again until the server answers or closes; returns after how many seconds it did."""
        began_s = time.monotonic()
        self._socket.settimeout(every_s)
        while (elapsed_s := time.monotonic() - began_s) < at_most_s:
            self._socket.sendall(part)
            try:
                chunk = self._socket.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionResetError:  # it closed just when the part came in, and had not read it
                chunk = b""
            self._received += chunk
            self._socket.settimeout(self._timeout_s)
            return time.monotonic() - began_s
        raise AssertionError(f"the server waited for more than {elapsed_s:.1f} s")

    def answer(self) -> RawAnswer:
        """Read the next answer, and no byte of what follows it."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        status = int(first.split(" ")[1])
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        while len(self._received) < length:
            self._more()
        body, self._received = self._received[:length], self._received[length:]
        return RawAnswer(status, headers, body)

    def rest(self) -> bytes:
        """All that still comes until the server closes."""
        while chunk := self._socket.recv(65_536):
            self._received += chunk
        return self._received

    def is_closed(self) -> bool:
        """Whether the server closes without another byte; False when it has said more, or says nothing for long."""
        try:
            return self.rest() == b""
        except TimeoutError:
            return False

    def _more(self) -> None:
        chunk = self._socket.recv(65_536)
        assert chunk, f"the server closed before its answer was complete: {self._received!r}"
        self._received += chunk


def request(
    body: bytes = b"", *headers: str, method: str = "POST", path: str = WIDGET, token: str | None = None
) -> bytes:
    """The bytes of a request that is right but for what the caller adds or puts into it."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if token is not None:
        lines += [f"token: {token}", "Content-Type: application/json"]
    names = {line.partition(":")[0].lower() for line in headers}
    if not names & {"content-length", "transfer-encoding"} and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def is_refusal(answer: RawAnswer, status: int, name: str) -> bool:
    """Whether an answer is a whole problem of that name; says by an assertion what is missing."""
    assert answer.status == status, answer
    assert answer.header("content-type") == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{name}"
    assert problem["status"] == status
    request_id = answer.header("x-request-id")
    assert request_id is not None
    assert str(uuid.UUID(request_id)) == request_id.lower()
    assert problem["instance"] == f"urn:uuid:{request_id}"
    return True


def peak_bytes(pid: int, *, reset: bool = False) -> int:
    """The most memory that a process has had resident, since its start or since the last reset."""
    process = Path("/proc") / str(pid)
    if reset:
        (process / "clear_refs").write_text("5")
    status = (process / "status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def cpu_s(pid: int) -> float:
    """The CPU time that a process, with all its threads, has taken since its start."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    assert not error, os.strerror(error)
    return time.clock_gettime(clock.value)


def statuses(answers: Sequence[RawAnswer]) -> list[int]:
    """The statuses of answers, in their order."""
    return [answer.status for answer in answers]
