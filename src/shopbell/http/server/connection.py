"""One connection: its limits, its deadlines, and how it closes. ``docs/http-server.md`` explains each rule.

Deadlines are cheap: a request that arrives in one read sets none, and one sweep checks all connections every half
second. No bytes of a request are logged.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from shopbell.errors import RequestError
from shopbell.http.server.detached import Detached, Handler
from shopbell.http.server.direct import DirectRoute
from shopbell.http.server.errors import RequestTimeout, TemporarilyUnavailable
from shopbell.http.server.exchange import Exchange
from shopbell.http.server.request_id import request_id_of
from shopbell.http.server.responses import CLOSE, CompleteResponse, ErrorResponder, Header, header_lines, plain_response
from shopbell.http.server.unread import NEVER, ReadDeadline
from shopbell.settings.settings import Settings

log = structlog.get_logger()

SWEEP_S = 0.5
LINGER_S = 2.0
"""Seconds that a client has to read its last response, while the server discards what the client still sends."""
LINGER_BYTES = 16 * 1_048_576
GRACE_S = 1.0
"""Seconds that a client has after SIGTERM to finish a request."""

# The states of reading. A `_NEW` state has no deadline yet.
IDLE, HEAD_NEW, HEAD, BODY_NEW, BODY, DISCARD = range(6)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a connection. The settings have the same names."""

    header_limit_bytes: int
    header_count_limit: int
    header_timeout_s: float
    body_timeout_s: float
    keep_alive_timeout_s: float
    connection_limit: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the limits from the settings."""
        return cls(**{name: getattr(settings, name) for name in cls.__slots__})


class Connections(ServerState):
    """The state that all connections of a process share.

    Attributes:
        watched: those that may have a deadline; thousands of detached connections have nothing to check.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.watched: set[Connection | Detached] = set()
        self.limits = limits
        self.draining = False
        self.closing = False

    @property
    def default_headers(self) -> list[Header]:
        """The headers of every response. uvicorn sets the date once a second."""
        return self._default_headers

    @default_headers.setter
    def default_headers(self, headers: list[Header]) -> None:
        self._default_headers = headers
        self.default_lines = header_lines(headers)

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Act on every deadline that has passed, now and then every half second."""
        loop.call_later(SWEEP_S, self.sweep, loop)
        now_s = loop.time()
        for connection in tuple(self.watched):
            try:
                connection.check(now_s)
            except Exception as error:  # the other connections still need their deadlines
                log.error("bug", job="check deadlines", exc_info=error)
                connection.transport.abort()


def is_draining(scope: Mapping[str, Any]) -> bool:
    """Return whether the server is about to stop, from the ASGI scope of a request. `/readyz` then answers 503."""
    return bool(scope.get("state", {}).get("draining", False))


class NoteResponse(Protocol):
    """Counts and logs a response."""

    def __call__(
        self, request_id: str, method: str, route: str | None, status: int, duration_s: float, latency_s: float, /
    ) -> None:
        """Note a response.

        Args:
            request_id: the id of the request.
            method: its method, or ``-`` if it is unknown.
            route: the name of its route; None if no route responded, but the server.
            status: the status of the response.
            duration_s: seconds from the head of the request to the end of the response.
            latency_s: the same until the response began, if it is a stream.
        """


FindDirect = Callable[[str], DirectRoute | None]
"""Returns the direct route of a path, or None if the ASGI application has the path."""


def _note_nothing(*_: object) -> None:
    """Count and log nothing."""


def _find_nothing(_: str) -> None:
    """Leave every path to the ASGI application."""


class Connection(ReadDeadline, HttpToolsProtocol):
    """One connection.

    It uses three functions of the application's lifespan state, if they exist: ``error_response`` (see
    ``responses.py``), ``note_response`` (``NoteResponse``) and ``find_direct`` (``FindDirect``).
    """

    server_state: Connections
    cycle: Exchange  # type: ignore[assignment]  # of the parent, only what both kinds have is used

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: MutableMapping[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, cast("dict[str, Any]", app_state), _loop)
        self.limits = server_state.limits
        self.error_response: ErrorResponder = app_state.get("error_response", plain_response)
        self.note_response: NoteResponse = app_state.get("note_response", _note_nothing)
        self.find_direct: FindDirect = app_state.get("find_direct", _find_nothing)
        self.deadline_s = NEVER
        self.stalled_until_s = NEVER
        self.unread_bytes = 0
        self._phase = IDLE
        self._running: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._head_bytes = 0
        self._is_large_read = False
        self._is_upgrade = False
        self._has_body_come = False
        self._overhead_bytes = 0
        self._refusal: CompleteResponse | None = None
        self._is_lingering = False
        self._has_client_ended = False
        self._discarded_bytes = 0
        self._host = b""
        self._held = memoryview(b"")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent narrows
        """Accept the connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self.server_state.watched.add(self)
        if self.client is not None and self.client[0].startswith("::ffff:"):
            # An IPv6 socket shows IPv4 clients as mapped addresses; settings and limits use IPv4.
            self.client = (self.client[0].removeprefix("::ffff:"), self.client[1])
        self.deadline_s = self.loop.time() + self.limits.header_timeout_s
        count = len(self.connections)
        if count > 2 * self.limits.connection_limit:
            transport.abort()
        elif count > self.limits.connection_limit:
            self._refuse(TemporarilyUnavailable(retry_after_s=5))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that its client has gone."""
        self.deadline_s = self.stalled_until_s = NEVER
        self._held = memoryview(b"")
        self.connections.discard(self)
        self.server_state.watched.discard(self)
        for exchange in (self._running, self.cycle):
            if exchange is not None and not exchange.response_complete:
                exchange.disconnected = True
                exchange.notify()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment]  # it refers to this connection

    def eof_received(self) -> bool:  # type: ignore[override]  # the parent says None, asyncio bool
        """Keep the connection open for the response if the client has closed its side after a whole request."""
        if self._is_lingering or self._phase not in (IDLE, DISCARD) or self._is_answered():
            return False
        self._has_client_ended = True
        if not self.cycle.response_started:
            self.cycle.keep_alive = False
        for exchange in (self._running, self.cycle):
            if exchange is not None:
                exchange.client_ended = True
                exchange.notify()
        return True

    def resume_writing(self) -> None:
        """End the stall deadline: the client reads again."""
        super().resume_writing()
        self.stalled_until_s = NEVER

    def resume_reading(self) -> None:
        """Read on, unless earlier requests are still held back."""
        if not self._held:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Finish the accepted requests, then close. A request that is arriving gets ``GRACE_S``."""
        if self._phase == DISCARD:
            return
        is_answered = self._is_answered()
        if not is_answered and not self.cycle.response_started:
            self.cycle.keep_alive = False
        if is_answered or self._phase != IDLE:
            self.deadline_s = min(self.deadline_s, self.loop.time() + GRACE_S)

    def check(self, now_s: float) -> None:
        """Act on a deadline that has passed.

        Args:
            now_s: the time of the loop, in seconds.
        """
        if self.is_stalled(now_s):
            self.transport.abort()
        elif self.deadline_s <= now_s:
            self._on_deadline(now_s)

    def detach(self, handler: Handler, *, is_chunked: bool) -> None:
        """Give the connection to a handler, and forget the request.

        Further requests are ignored.
        """
        self.connections.discard(self)
        self.server_state.watched.discard(self)
        self.flow.resume_reading()
        # These refer to each other: without this, all of them would wait for the garbage collector.
        self.parser = self.cycle = self._running = None  # type: ignore[assignment]  # as the parent does
        self._waiting.clear()
        self._held = memoryview(b"")
        is_writable = not self.flow.write_paused
        detached = Detached(self.transport, self.server_state, handler, is_chunked=is_chunked, is_writable=is_writable)
        if self._has_client_ended:
            detached.end()

    def cut_off(self) -> None:
        """End the current request: the time to finish after SIGTERM is over."""
        if self._running is not None and not self._running.response_complete:
            self._running.cut_off()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _in_s(self, seconds: float) -> float:
        return self.loop.time() + (min(seconds, GRACE_S) if self.server_state.closing else seconds)

    def _has_unread(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self.flow.read_paused and bool(poll.poll(0))

    def _fail_body(self, error: RequestError) -> None:
        """Raise an error where the application reads the body, and read no more of it."""
        self._phase = DISCARD
        if self.cycle.response_complete:
            self._linger()
            return
        self.deadline_s = NEVER
        self.flow.pause_reading()
        self.cycle.keep_alive = False
        self.cycle.error = error
        self.cycle.notify()

    def _refuse(self, error: RequestError) -> None:
        """Answer a request that the application never sees, after the responses to earlier requests."""
        is_head_known = self._phase in (HEAD_NEW, HEAD)
        request_id = request_id_of(self.headers if is_head_known else ())
        response = self.error_response(error, request_id, (CLOSE,))
        self._phase = DISCARD
        self.note_response(request_id, "-", None, response.status, 0.0, 0.0)
        if self._is_answered():
            self._write(response)
        else:
            self._refusal = response
            self.deadline_s = NEVER
            self.flow.pause_reading()

    def _write(self, response: CompleteResponse) -> None:
        head = STATUS_LINE[response.status] + self.server_state.default_lines + header_lines(response.headers)
        self.transport.write(b"%b\r\n%b" % (head, response.body))
        self._linger()

    def _linger(self) -> None:
        """Close, but discard further input for a while.

        Closing with unread bytes would reset the connection before the client has read its response (RFC 9112, 9.6).
        """
        if self._has_client_ended or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._phase = DISCARD
        self._is_lingering = True
        self._discarded_bytes = 0
        self._held = memoryview(b"")
        self.deadline_s = self.loop.time() + LINGER_S
        self.flow.resume_reading()
        self.transport.write_eof()

    def _discard(self, size_bytes: int) -> None:
        self._discarded_bytes += size_bytes
        if self._discarded_bytes > LINGER_BYTES:
            if self._is_lingering:
                self.transport.abort()
            else:
                self.flow.pause_reading()

    def _on_deadline(self, now_s: float) -> None:
        if self._phase == DISCARD:
            self.transport.abort()
        elif self._phase == IDLE:
            if self._has_unread():
                return  # it is not idle: the loop is about to read a request
            self._phase = DISCARD
            self.deadline_s = now_s + LINGER_S
            self.transport.close()
        elif self.flow.read_paused or (self._phase == HEAD and not self._is_answered()):
            # The client is not slow: it waits for earlier responses.
            self.deadline_s = now_s + self.limits.header_timeout_s
        elif self._phase == HEAD:
            self._refuse(RequestTimeout("headers"))
        elif not self.server_state.closing and self.cycle.has_more_time(self.limits.body_timeout_s):
            self.deadline_s = now_s + self.limits.body_timeout_s
        else:
            self._fail_body(RequestTimeout("body"))
