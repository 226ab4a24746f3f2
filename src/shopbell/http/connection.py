"""One connection and its patience: what it may hold, how long it waits, and how it parts from a client.

Deadlines cost a request nothing: a request that arrives in one piece sets none, and one sweep looks at all connections
every half second. Nothing of a request's bytes is ever logged.
"""

import asyncio
import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from shopbell.errors import Problem, RequestTimeout, TemporarilyUnavailable
from shopbell.http import pace
from shopbell.http.exchange import CLOSE, Exchange
from shopbell.http.problems import Answer, render
from shopbell.http.request_id import request_id_of
from shopbell.settings import Settings

log = structlog.get_logger()

SWEEP_S = 0.5
LINGER_S = 2.0
LINGER_BYTES = 16 * 1_048_576
GRACE_S = 1.0
"""Seconds that a client has after SIGTERM to send what it was about to send."""
STALL_S = 30.0
"""Seconds within which a client must read what waits for it, or ``STALL_BYTES`` of it."""
STALL_BYTES = 65_536

NEVER: Final = math.inf

# Where the reading of a connection is. What is `_NEW` has no deadline yet.
IDLE, HEAD_NEW, HEAD, BODY_NEW, BODY, DISCARD = range(6)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of connections, from the settings of the same names."""

    header_limit_bytes: int
    header_count_limit: int
    header_timeout_s: float
    body_timeout_s: float
    keep_alive_timeout_s: float
    connection_limit: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the limits out of the settings."""
        return cls(**{name: getattr(settings, name) for name in cls.__slots__})


class Connections(ServerState):
    """What all connections of a process share.

    Args:
        limits: the limits of each connection.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.draining = False
        self.closing = False

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Act on every deadline that has passed, now and every half second from now on."""
        loop.call_later(SWEEP_S, self.sweep, loop)
        now_s = loop.time()
        for connection in tuple(self.connections):
            try:
                cast("Connection", connection).check(now_s)
            except Exception as error:  # the deadlines of all others must be kept
                log.error("bug", job="keep deadlines", exc_info=error)
                cast("Connection", connection).transport.abort()


def is_draining(scope: Mapping[str, Any]) -> bool:
    """Whether the server is about to stop, so that `/readyz` answers 503.

    Args:
        scope: the ASGI scope of a request.
    """
    return bool(scope.get("state", {}).get("draining", False))


class Connection(HttpToolsProtocol):
    """One connection.

    The application's lifespan state may hold ``refused``, a function that is given the request's id and method and the
    status of each answer that no route made, for counting and logging.
    """

    server_state: Connections
    cycle: Exchange

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: MutableMapping[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, cast("dict[str, Any]", app_state), _loop)
        self.limits = server_state.limits
        self.deadline_s = NEVER
        self.stalled_until_s = NEVER
        self._unread_bytes = 0
        self._phase = IDLE
        self._running: Exchange | None = None
        self._head_bytes = 0
        self._is_large_read = False
        self._is_upgrade = False
        self._has_body_come = False
        self._overhead_bytes = 0
        self._refusal: Answer | None = None
        self._is_lingering = False
        self._has_client_ended = False
        self._discarded_bytes = 0
        self._host = b""
        self._held = memoryview(b"")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent narrows
        """Take the connection, or refuse it when there are too many."""
        super().connection_made(transport)
        if self.client is not None and self.client[0].startswith("::ffff:"):
            # An IPv6 socket shows IPv4 clients as mapped addresses; settings and limits name them as IPv4.
            self.client = (self.client[0].removeprefix("::ffff:"), self.client[1])
        self.deadline_s = self.loop.time() + self.limits.header_timeout_s
        count = len(self.connections)
        if count > 2 * self.limits.connection_limit:
            transport.abort()
        elif count > self.limits.connection_limit:
            self._refuse(TemporarilyUnavailable(retry_after_s=5))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that nobody waits for its answer."""
        self.deadline_s = self.stalled_until_s = NEVER
        self._held = memoryview(b"")
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # the parent says None, asyncio bool
        """Answer a client that has ended its side after a whole request; else close."""
        if self._is_lingering or self._phase not in (IDLE, DISCARD) or self._is_answered():
            return False
        self._has_client_ended = True
        if not self.cycle.response_started:
            self.cycle.keep_alive = False
        for exchange in (self._running, self.cycle):
            if exchange is not None:
                exchange.client_ended = True
                exchange.message_event.set()
        return True

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.stalled_until_s = NEVER

    def resume_reading(self) -> None:
        """Let more come in, unless there is still something that came before and is held back."""
        if not self._held:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Finish what was taken, and close; a request that is on its way has a moment to arrive."""
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
            now_s: the loop's time, in seconds.
        """
        if self._is_stalled(now_s):
            self.transport.abort()
        elif self.deadline_s <= now_s:
            self._end_of_patience(now_s)

    def _is_stalled(self, now_s: float) -> bool:
        """Whether the client does not read, however little it is that waits for it; also after the last answer."""
        unread_bytes = self.transport.get_write_buffer_size()
        if not unread_bytes:
            self.stalled_until_s = NEVER
            return False
        if self.stalled_until_s == NEVER or (
            self.stalled_until_s <= now_s and unread_bytes <= self._unread_bytes - STALL_BYTES
        ):
            self._unread_bytes = unread_bytes
            self.stalled_until_s = now_s + STALL_S
        return self.stalled_until_s <= now_s

    def note_refusal(self, request_id: str, method: str, status: int) -> None:
        """Tell the application of an answer that no route made.

        Args:
            request_id: the request's id.
            method: its method, or ``-`` when it is not known.
            status: the answer's status.
        """
        note = self.app_state.get("refused")
        if note is not None:
            note(request_id, method, status)

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _in_s(self, seconds: float) -> float:
        return self.loop.time() + (min(seconds, GRACE_S) if self.server_state.closing else seconds)

    def _spoil(self, problem: Problem) -> None:
        """Tell the application, where it reads the body, that there will be no more of it."""
        self._phase = DISCARD
        if self.cycle.response_complete:
            self._linger()
            return
        self.deadline_s = NEVER
        self.flow.pause_reading()
        self.cycle.keep_alive = False
        self.cycle.fault = problem
        self.cycle.message_event.set()

    def _refuse(self, problem: Problem) -> None:
        """Answer what the application never sees; after the answers that are still owed."""
        is_head_known = self._phase in (HEAD_NEW, HEAD)
        request_id = request_id_of(self.headers if is_head_known else ())
        answer = render(problem, request_id, (CLOSE,))
        self._phase = DISCARD
        self.note_refusal(request_id, "-", answer.status)
        if self._is_answered():
            self._write(answer)
        else:
            self._refusal = answer
            self.deadline_s = NEVER
            self.flow.pause_reading()

    def _write(self, answer: Answer) -> None:
        head = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers + answer.headers:
            head += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*head, b"\r\n", answer.body)))
        self._linger()

    def _linger(self) -> None:
        """Close, but read on for a while: closing with unread bytes resets it before the answer is read."""
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

    def _end_of_patience(self, now_s: float) -> None:
        if self._phase == DISCARD:
            self.transport.abort()
        elif self._phase == IDLE:
            self._phase = DISCARD
            self.deadline_s = now_s + LINGER_S
            self.transport.close()
        elif self.flow.read_paused or (self._phase == HEAD and not self._is_answered()):
            # Not the client is slow, but what came before.
            self.deadline_s = now_s + self.limits.header_timeout_s
        elif self._phase == HEAD:
            self._refuse(RequestTimeout("headers"))
        elif not self.server_state.closing and pace.is_kept(self.cycle.scope, self.limits.body_timeout_s):
            self.deadline_s = now_s + self.limits.body_timeout_s
        else:
            self._spoil(RequestTimeout("body"))
