"""One request and its answer on a connection: what the ASGI callables ``receive`` and ``send`` do."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

import structlog
from starlette.requests import ClientDisconnect as StarletteClientDisconnect
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from shopbell.errors import InternalError, Problem, TemporarilyUnavailable
from shopbell.http.body import ClientDisconnect
from shopbell.http.problems import ANSWER_HEADERS, render, send_answer
from shopbell.http.request_id import request_id_of

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGI3Application,
        ASGIReceiveEvent,
        ASGISendEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )

    from shopbell.http.connection import Connection

CLOSE = (b"connection", b"close")
# A longer unread body costs more than the new connection that the client needs without it.
DRAIN_LIMIT_BYTES = 65_536

log = structlog.get_logger()


class Exchange(RequestResponseCycle):
    """One request and its answer.

    ``receive`` raises what went wrong while the body arrived (``RequestTimeout`` 408, ``BadRequest`` 400), so that a
    route is told in the place where it reads. A problem that a route lets through is answered here.
    """

    def __init__(self, protocol: "Connection", scope: "HTTPScope", keep_alive: bool, expect_100_continue: bool) -> None:
        # Not the parent's constructor: passing it eleven names cost 2 % of the requests per second.
        self.protocol = protocol
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.access_logger = protocol.access_logger
        self.access_log = protocol.access_log
        self.default_headers = protocol.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = protocol.on_response_complete
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.body = bytearray()
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding = None
        self.expected_content_length = 0
        self.fault: Problem | None = None
        self.lingering = False
        self.body_given = False
        self.client_ended = False
        self.ends_with_connection = False
        self._own_request_id: str | None = None
        self.start: HTTPResponseStartEvent | None = None

    async def run_asgi(self, app: "ASGI3Application") -> None:
        """Let the application answer, and answer in its place when it fails."""
        send = self._send_before_the_body if self.more_body else self.send
        problem = await self._problem_of(app, cast("Any", send))
        self.start = None
        if problem is not None and self.response_started:
            self.transport.close()
        elif problem is not None:
            more_headers = (*cast("Any", self.scope).get(ANSWER_HEADERS, ()), CLOSE)
            self.protocol.note_refusal(self._request_id(), self.scope["method"], problem.status)
            await send_answer(cast("Any", send), render(problem, self._request_id(), more_headers))
        self.on_response = _nothing

    async def _problem_of(self, app: "ASGI3Application", send: Any) -> Problem | None:
        """Run the application, and give what the client must still be told."""
        try:
            await app(self.scope, self.receive, send)
        except Problem as raised:
            return raised
        except asyncio.CancelledError:
            # The time to finish after SIGTERM is over; the process ends, so nobody waits for this task.
            return TemporarilyUnavailable()
        except (ClientDisconnect, StarletteClientDisconnect):
            return None
        except Exception:  # a bug in one request must not end the others
            log.exception("bug", request_id=self._request_id())
            return InternalError()
        if self.response_complete or self.disconnected:
            return None
        log.error("the application gave no whole answer", request_id=self._request_id())
        return InternalError()

    async def receive(self) -> "ASGIReceiveEvent":
        """Give the next part of the body.

        Returns:
            ``http.request``, or ``http.disconnect`` when nothing can come any more.

        Raises:
            RequestTimeout: 408, the body did not arrive within its deadline.
            BadRequest: 400, the body's framing is broken.
            HeaderFieldsTooLarge: 431, the body's trailers are.
        """
        if self.fault is None and not self.disconnected and not self.response_complete:
            if self.waiting_for_100_continue and not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.waiting_for_100_continue = False
            self.protocol.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.fault is not None:
            raise self.fault
        if self.disconnected or self.response_complete or self.body_given:
            return {"type": "http.disconnect"}
        body = bytes(self.body)
        self.body = bytearray()
        if not self.more_body:
            self.body_given = True
            if self.client_ended:
                self.message_event.set()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: "ASGISendEvent") -> None:
        """Send a part of the answer.

        A head that tells the length of its body waits for it, and both are one write: apart, as the parent writes them,
        they are two system calls, a tenth of the cost of a request.
        """
        if self.start is not None and message["type"] == "http.response.body" and not message.get("more_body", False):
            start, self.start = self.start, None
            await self._send_whole(start, message.get("body", b""))
        elif self.start is not None:
            start, self.start = self.start, None
            await self._send_part(start)
            await self._send_part(message)
        elif message["type"] == "http.response.start" and not self.response_started and _tells_length(message):
            self.start = message
        else:
            await self._send_part(message)

    async def _send_part(self, message: "ASGISendEvent") -> None:
        """Send a part as the parent does, but never in chunks to HTTP/1.0 (RFC 9112, section 6.1)."""
        if self.scope["http_version"] == "1.0":
            if message["type"] == "http.response.start" and not _tells_length(message):
                self.ends_with_connection, self.chunked_encoding = True, False
            elif message["type"] == "http.response.body" and self.ends_with_connection:
                # The parent counts what is left of a length that was told.
                length_bytes = len(message.get("body", b""))
                self.expected_content_length = length_bytes + message.get("more_body", False)
        await super().send(message)

    async def _send_whole(self, start: "HTTPResponseStartEvent", body: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        is_head = self.scope["method"] == "HEAD"
        lines = [STATUS_LINE[start["status"]]]
        for name, value in (*self.default_headers, *start["headers"]):
            if name == b"content-length" and int(value) != len(body) and not is_head:
                raise RuntimeError("the answer is not as long as it says")
            if name == b"connection" and value == b"close":
                self.keep_alive = False
            else:
                lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        # One look at all headers is faster than one at each.
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise RuntimeError("a header of the answer would end its line")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.transport.write(head + b"\r\n" if is_head else b"%b\r\n%b" % (head, body))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def _send_before_the_body(self, message: "ASGISendEvent") -> None:
        """Send, while the request's body may still be arriving: read a small rest, else part gently."""
        if not self.response_started and self.more_body and not self._is_rest_small():
            self.keep_alive = False
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and self.more_body and not self.keep_alive:
            # The head has said `connection: close`; the protocol closes once the client has had time to read.
            self.lingering = self.keep_alive = True
        # Head and body apart: what the head says depends on what had arrived by then.
        await self._send_part(message)

    def _is_rest_small(self) -> bool:
        # A client that was not told to continue may send the body or not: only a new connection is clear.
        if self.fault is not None or self.waiting_for_100_continue:
            return False
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                return int(value) <= DRAIN_LIMIT_BYTES
        return False

    def _request_id(self) -> str:
        if self._own_request_id is None:
            self._own_request_id = request_id_of(self.scope["headers"])
        return self._own_request_id


def _tells_length(start: "HTTPResponseStartEvent") -> bool:
    return any(name == b"content-length" for name, _ in start["headers"])


def _nothing() -> None:
    """What happens after an answer that was cut off."""
