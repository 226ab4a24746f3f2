"""The second host of Twilio's media, with signed URLs."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from harness.http_threads import serving


@dataclass
class MediaHost:
    """What it serves, and what it was asked."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path, and headers by name in lower case."""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def place(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    def serve(self, name: str, file: bytes) -> str:
        """Serve a file, and return its URL."""
        self.files[f"/{name}?Signature=s"] = file
        return f"http://{self.place}/{name}?Signature=s"


@contextmanager
def media_host() -> Iterator[MediaHost]:
    """A host on loopback while the block runs; ``/hang`` does not answer, ``/endless`` does not end."""
    host = MediaHost()

    class Handler(_Handler):
        media = host

    with serving(Handler, host.released.set) as host.port:
        yield host


class _Handler(BaseHTTPRequestHandler):
    media: MediaHost
    timeout = 20

    def do_GET(self) -> None:
        """Serve a file."""
        media = self.media
        media.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path == "/hang":
            media.released.wait(20)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while not media.released.is_set():
                    self.wfile.write(b"NOTE:" + b"x" * 4_096 + b"\r\n")
        elif self.path in media.redirects:
            self.send_response(302)
            self.send_header("Location", media.redirects[self.path])
            self.end_headers()
        else:
            file = media.files.get(self.path)
            self.send_response(404 if file is None else 200)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(file or b"")
                self.connection.shutdown(socket.SHUT_WR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Write nothing."""
