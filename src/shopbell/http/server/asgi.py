"""An exchange with an ASGI application: the callables ``receive`` and ``send``."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from starlette.requests import ClientDisconnect as StarletteClientDisconnect
from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shopbell.errors import RequestError
from shopbell.http.server import upload_rate
from shopbell.http.server.detached import DETACH
from shopbell.http.server.errors import ClientDisconnect, InternalError, TemporarilyUnavailable
from shopbell.http.server.exchange import Exchange
from shopbell.http.server.responses import CLOSE, RESPONSE_HEADERS, Header, header_lines, send_response

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGIReceiveEvent,
        ASGISendEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )

    from shopbell.http.server.connection import Connection

log = structlog.get_logger()


class AsgiExchange(Exchange, RequestResponseCycle):  # type: ignore[misc]  # the parent has only a `bytearray`
    """One request to the ASGI application, and its response.

    ``receive`` raises the errors of an arriving body (``RequestTimeout`` 408, ``BadRequest`` 400) inside the route.
    An error that the application raises becomes the response.
    """

    # For the parent class. uvicorn's access log is not used: the application has its own.
    access_log = False
    chunked_encoding = None
    expected_content_length = 0
    _is_body_given = False
    _ends_with_connection = False

    def __init__(
        self,
        connection: "Connection",
        scope: "HTTPScope",
        headers: Sequence[Header],
        keep_alive: bool,
        expect_100_continue: bool,
    ) -> None:
        super().__init__(connection, scope["method"], headers, keep_alive, expect_100_continue)
        self.scope = scope
        scope["state"]["request_id"] = self.request_id
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = connection.on_response_complete
        self._start: HTTPResponseStartEvent | None = None

    def begin(self) -> None:
        """Start the task of the application."""
        task = self.connection.loop.create_task(self._answer())
        task.add_done_callback(self.connection.tasks.discard)
        self.connection.tasks.add(task)

    def notify(self) -> None:
        """Let ``receive`` look."""
        self.message_event.set()

    def has_more_time(self, within_s: float) -> bool:
        """Return whether the body may take longer.

        It may if the route has asked for more time and the body arrives fast enough.
        """
        return upload_rate.is_kept(self.scope, within_s)

    async def _answer(self) -> None:
        """Run the application, and respond in its place if it fails."""
        error = await self._run()
        self._start = None
        if error is not None and self.response_started:
            self.transport.close()
        elif error is not None:
            more_headers = (*cast("Any", self.scope).get(RESPONSE_HEADERS, ()), CLOSE)
            response = self.connection.error_response(error, self.request_id, more_headers)
            self.connection.note_response(self.request_id, self.method, None, response.status, 0.0, 0.0)
            await send_response(cast("Any", self.send), response)
        self.on_response = _nothing

    async def _run(self) -> RequestError | None:
        """Run the application, and return the error that the client must still be told."""
        try:
            await self.connection.app(self.scope, self.receive, self.send)
        except RequestError as raised:
            return raised
        except asyncio.CancelledError:
            # The time to finish after SIGTERM is over, and the process ends.
            return TemporarilyUnavailable()
        except (ClientDisconnect, StarletteClientDisconnect):
            return None
        except Exception:  # a bug in one request must not end the others
            log.exception("bug", request_id=self.request_id)
            return InternalError()
        if self.response_complete or self.disconnected:
            return None
        log.error("incomplete response from the application", request_id=self.request_id)
        return InternalError()

    async def receive(self) -> "ASGIReceiveEvent":
        """Return the next part of the body.

        Returns:
            ``http.request``, or ``http.disconnect`` if no more can arrive.

        Raises:
            RequestTimeout: 408, the body did not arrive within its deadline.
            BadRequest: 400, the body's framing is broken.
            HeaderFieldsTooLarge: 431, the trailers of the body are too large.
        """
        if self.error is None and not self.disconnected and not self.response_complete:
            self._continue()
            await self.message_event.wait()
            self.message_event.clear()
        if self.error is not None:
            raise self.error
        if self.disconnected or self.response_complete or self._is_body_given:
            return {"type": "http.disconnect"}
        body = self._taken()
        if not self.more_body:
            self._is_body_given = True
            if self.client_ended:
                self.message_event.set()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: "ASGISendEvent") -> None:
        """Send a part of the response.

        A head with a ``Content-Length`` waits for the body, so that both are one write.
        """
        start, self._start = self._start, None
        if start is not None and message["type"] == "http.response.body" and not message.get("more_body", False):
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            if not self.disconnected:
                self._write_whole(start["status"], header_lines(start["headers"]), message.get("body", b""))
                self.message_event.set()
        elif start is not None:
            await self._send_part(start)
            await self._send_part(message)
        elif message["type"] == "http.response.start" and not self.response_started and _tells_length(message):
            self._start = message
        elif message["type"] == DETACH:
            await self._detach(cast("Any", message))
        else:
            await self._send_part(message)

    async def _detach(self, message: Message) -> None:
        """Send the head, and give the connection to the application.

        Raises:
            ClientDisconnect: the client has gone.
        """
        headers = [*message["headers"], CLOSE]
        await self._send_part({"type": "http.response.start", "status": message["status"], "headers": headers})
        if self.disconnected or self.transport.is_closing():
            raise ClientDisconnect
        self.response_complete = True
        self.connection.detach(message["handler"], is_chunked=bool(self.chunked_encoding))

    async def _send_part(self, message: "ASGISendEvent") -> None:
        """Send a part as the parent does, but without chunks to HTTP/1.0 (RFC 9112, 6.1)."""
        is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
        if self.more_body and not self.response_started:
            self._begin_before_the_body()
        elif self.more_body and is_end:
            self._end_before_the_body()
        if self.scope["http_version"] == "1.0":
            if message["type"] == "http.response.start" and not _tells_length(message):
                self._ends_with_connection, self.chunked_encoding = True, False
            elif message["type"] == "http.response.body" and self._ends_with_connection:
                # The parent counts down the announced length.
                length_bytes = len(message.get("body", b""))
                self.expected_content_length = length_bytes + (not is_end)
        await super().send(message)


def _tells_length(start: "HTTPResponseStartEvent") -> bool:
    return any(name == b"content-length" for name, _ in start["headers"])


def _nothing() -> None:
    """Do nothing after a response that was cut off."""
