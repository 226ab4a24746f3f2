"""One request and its response.

Direct routes and the ASGI application have this in common.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shopbell.errors import RequestError
from shopbell.http.server.request_id import request_id_of
from shopbell.http.server.responses import Header

if TYPE_CHECKING:
    from shopbell.http.server.connection import Connection

# Reading a longer rest of a body costs more than a new connection.
DRAIN_LIMIT_BYTES = 65_536
_CLOSE_LINE = b"\nconnection: close\r\n"


class Exchange:
    """One request and its response.

    Args:
        connection: the connection that the request came on.
        method: the method of the request.
        headers: of the request, with names in lower case.
        keep_alive: whether the connection can be used again after the response.
        expect_100_continue: whether the client waits for ``100 Continue`` before it sends the body.
    """

    # Most exchanges never change these, so they are set in the class and not for each request.
    body: bytes | bytearray = b""
    """The part of the body that has arrived and was not taken yet."""
    more_body = True
    """Whether more of the body may arrive."""
    error: RequestError | None = None
    """Why the rest of the body will not arrive."""
    disconnected = False
    client_ended = False
    """Whether the client has closed its side; it still reads."""
    response_started = False
    response_complete = False
    lingering = False
    """Whether the connection must discard the rest of the body, and then close."""
    _request_id: str | None = None

    def __init__(
        self,
        connection: "Connection",
        method: str,
        headers: Sequence[Header],
        keep_alive: bool,
        expect_100_continue: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.headers = headers
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue

    @property
    def request_id(self) -> str:
        """The id of the request, a UUID as text."""
        if self._request_id is None:
            self._request_id = request_id_of(self.headers)
        return self._request_id

    def begin(self) -> None:
        """Start to respond. The connection calls this when it has parsed all that it read."""
        raise NotImplementedError

    def notify(self) -> None:
        """Note that something has arrived, or that the client has gone.

        The parser may be running.
        """
        raise NotImplementedError

    def cut_off(self) -> None:
        """End the exchange: the time to finish after SIGTERM is over.

        Tasks are cancelled separately.
        """

    def add(self, part: bytes) -> int:
        """Keep a part of the body, and return how many bytes are kept."""
        if not self.body:
            self.body = part
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += part
        return len(self.body)

    def has_more_time(self, within_s: float) -> bool:  # noqa: ARG002 - subclasses use it
        """Return whether the body may take longer than the body timeout.

        Args:
            within_s: seconds since the last call.
        """
        return False

    def _taken(self) -> bytes:
        """Take what has arrived of the body."""
        body, self.body = bytes(self.body), b""
        return body

    def _continue(self) -> None:
        """Let the body arrive."""
        if self.waiting_for_100_continue and not self.connection.transport.is_closing():
            self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        self.connection.resume_reading()

    def _begin_before_the_body(self) -> None:
        """Prepare a response that begins while the body may still be arriving.

        A small rest of the body is read, so that the connection can be used again. After a large one the connection
        closes, once the client has had time to read the response.
        """
        if not self._is_rest_small():
            self.keep_alive = False

    def _end_before_the_body(self) -> None:
        """Prepare the end of such a response.

        After ``connection: close`` the connection lingers, then closes.
        """
        if not self.keep_alive:
            self.lingering = self.keep_alive = True

    def _is_rest_small(self) -> bool:
        # A client that got no 100 may send the body or not, so this connection cannot be used again.
        if self.error is not None or self.waiting_for_100_continue:
            return False
        for name, value in self.headers:
            if name == b"content-length":
                return int(value) <= DRAIN_LIMIT_BYTES
        return False

    def _write_whole(self, status: int, lines: bytes, body: bytes) -> None:
        """Write a complete response with one system call.

        The parent class of ``AsgiExchange`` makes two.

        Args:
            status: the HTTP status.
            lines: the headers, as ``header_lines`` returns them.
            body: the bytes of the body.

        Raises:
            RuntimeError: a bug; the headers announce another length.
        """
        is_head = self.method == "HEAD"
        head = STATUS_LINE[status] + self.connection.server_state.default_lines + lines
        if b"\ncontent-length: %d\r\n" % len(body) not in head and not is_head:
            raise RuntimeError("the body does not have the length that the response announced")
        if _CLOSE_LINE in head:
            self.keep_alive = False
            head = head.replace(_CLOSE_LINE, b"\n")
        if self.more_body:
            self._begin_before_the_body()
        ending = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        if self.more_body:
            self._end_before_the_body()
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.connection.transport.write(b"".join((head, ending, b"" if is_head else body)))
        if not self.keep_alive:
            self.connection.transport.close()
        self.connection.on_response_complete()
