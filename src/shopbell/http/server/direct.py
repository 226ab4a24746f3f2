"""Direct routes: functions that handle requests without ASGI.

A request needs a task only if it must wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import structlog

from shopbell.errors import RequestError, StorageError
from shopbell.http.server.errors import InternalError, TemporarilyUnavailable
from shopbell.http.server.exchange import Exchange
from shopbell.http.server.responses import CompleteResponse, Header, header_lines

if TYPE_CHECKING:
    from shopbell.http.server.connection import Connection

T = TypeVar("T")

log = structlog.get_logger()

TakePart = Callable[[bytes, bool], bytes | None]
"""Takes a part of a body, and whether more may come. Returns the whole body, or None if it is not complete."""


class DirectRequest(Exchange):
    """A request to a direct route, and the way to respond to it."""

    response_headers: Sequence[Header] = ()
    """Headers that the response has even if an error ends the request."""
    _reader: tuple[TakePart, Callable[[bytes], None]] | None = None
    _is_due = False

    def __init__(
        self,
        connection: "Connection",
        route: "DirectRoute",
        method: str,
        headers: Sequence[Header],
        keep_alive: bool,
        expect_100_continue: bool,
    ) -> None:
        super().__init__(connection, method, headers, keep_alive, expect_100_continue)
        self._route = route
        self._began_s = perf_counter()

    def begin(self) -> None:
        """Call the handler."""
        if not self.disconnected:
            self.call(self._route.begin, self)

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function that handles the request further; respond to what it raises."""
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - a bug in one request must not end the others
            self.fail(error)

    def read_body(self, take: TakePart, then: Callable[[bytes], None]) -> None:
        """Read the body, then call back, at once if it has arrived.

        An error of the arriving body (408, 400, 431) ends the request; so does a client that disconnects.

        Args:
            take: called with each part. What it raises becomes the response.
            then: called with the whole body. What it raises becomes the response, too.
        """
        self._reader = take, then
        if self.waiting_for_100_continue or self.more_body:
            self._continue()
        if self.body or not self.more_body or self.error is not None:
            self._take_part()

    def wait_for(self, result: Awaitable[T], then: Callable[[T], None]) -> None:
        """Wait in a task, then call back.

        Args:
            result: what is waited for. What it raises becomes the response.
            then: called with the result. What it raises becomes the response, too.
        """
        connection = self.connection
        task = connection.loop.create_task(self._wait_for(result, then))
        task.add_done_callback(connection.tasks.discard)
        connection.tasks.add(task)

    def respond(self, response: CompleteResponse) -> None:
        """Send the response, unless the request already has one.

        A client that has gone gets none.
        """
        self.respond_with(response.status, header_lines(response.headers), response.body)

    def respond_with(self, status: int, lines: bytes, body: bytes) -> None:
        """Do the same with encoded headers, as ``header_lines`` returns them."""
        if self.response_complete:
            return
        connection = self.connection
        if connection.flow.write_paused and not self.disconnected:
            # The client sends requests faster than it reads responses.
            self.wait_for(connection.flow.drain(), lambda _: self.respond_with(status, lines, body))
            return
        if not self.disconnected:
            self._write_whole(status, lines, body)
        elapsed_s = perf_counter() - self._began_s
        connection.note_response(self.request_id, self.method, self._route.name, status, elapsed_s, elapsed_s)

    def fail(self, error: BaseException) -> None:
        """Respond to an error."""
        if not isinstance(error, RequestError | StorageError):
            log.error("bug", request_id=self.request_id, exc_info=error)
            error = InternalError()
        self.respond(self.connection.error_response(error, self.request_id, self.response_headers))

    def notify(self) -> None:
        """Pass on what has arrived, but not from within the parser."""
        if self._reader is not None and not self._is_due:
            self._is_due = True
            self.connection.loop.call_soon(self.call, self._take_part)

    def cut_off(self) -> None:
        """Respond with 503."""
        self.fail(TemporarilyUnavailable())

    async def _wait_for(self, result: Awaitable[T], then: Callable[[T], None]) -> None:
        try:
            value = await result
        except asyncio.CancelledError:  # the time to finish after SIGTERM is over
            self.cut_off()
        except Exception as error:  # noqa: BLE001 - as in `call`
            self.fail(error)
        else:
            self.call(then, value)

    def _take_part(self) -> None:
        self._is_due = False
        # The reader refers to this request: it must not be kept.
        reader, self._reader = self._reader, None
        if reader is None or self.response_complete:  # it has had its response since this call was scheduled
            return
        if self.error is not None:
            raise self.error
        if self.disconnected:
            return
        take, then = reader
        body = take(self._taken(), self.more_body)
        if body is not None:
            then(body)
        else:
            self._reader = reader
            self.connection.resume_reading()


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A route without ASGI.

    Args:
        name: its template, for the log and the metrics.
        begin: called with each request, of any method, as soon as its head has arrived. It returns at once; then or
            later it calls ``respond``, ``fail`` or one of the methods that call it back. What it raises becomes the
            response.
        request_class: of its requests.
    """

    name: str
    begin: Callable[[DirectRequest], None]
    request_class: type[DirectRequest] = DirectRequest
