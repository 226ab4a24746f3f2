"""A separate port for ``/metrics``, so that only the operator's network reaches it.

The library's server for this has no limits. This one responds in threads, also while the event loop is busy, to a few
connections at a time, each of which ends after a few seconds.
"""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from shopbell.runtime.listening import listen
from shopbell.runtime.metrics import exposition
from shopbell.runtime.supervision import supervise_thread
from shopbell.settings.settings import Settings
from shopbell.settings.sources import PREFIX

PATH = "/metrics"
CONNECTIONS_MAX = 8
"""Connections beyond these are closed."""
DEADLINE_S = 5.0
"""Seconds after which a connection is cut off, from the moment at which it was accepted."""

log = structlog.get_logger()


def open_port(settings: Settings) -> Callable[[], AbstractContextManager[None]]:
    """Listen on the port for metrics, if the settings have one.

    Returns:
        To be called once: a context in which the port responds.

    Raises:
        CommandError: the port is in use, or cannot be listened on.
    """
    if settings.metrics_port is None:
        return nullcontext
    listener = listen(settings.metrics_host, settings.metrics_port, remedy=f"{PREFIX}METRICS_PORT")
    return partial(_serving, listener)


@contextmanager
def _serving(listener: socket.socket) -> Iterator[None]:
    server = _Server(listener)
    host, port = listener.getsockname()[:2]
    log.info("listening for metrics", url=f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}")
    supervise_thread("serve the metrics", server.serve_forever)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body, content_type = exposition()
        self._respond(HTTPStatus.OK, body, content_type)

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Respond with the name of the error. The library would repeat what was sent."""
        self._respond(HTTPStatus(code), HTTPStatus(code).phrase.encode() + b"\n", "text/plain; charset=utf-8")

    def _respond(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "shopbell"

    def log_message(self, *_: object) -> None:
        """Log nothing: a line would have the path as it was sent."""


class _Server(ThreadingHTTPServer):
    """Responds on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._free = threading.Semaphore(CONNECTIONS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Respond in a thread, unless too many others do so."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be started now
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Respond, but not for longer than the deadline, however slowly the client sends and reads."""
        deadline = threading.Timer(DEADLINE_S, _cut_off, (request,))
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Log a bug. A client that has gone is none."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("bug", job="serve the metrics", exc_info=error)


def _cut_off(connection: socket.socket) -> None:
    with suppress(OSError):  # it has been closed
        connection.shutdown(socket.SHUT_RDWR)
