"""HTTP/1.1: uvicorn's protocol class with limits, deadlines and strict framing.

``docs/http-server.md`` lists what this package adds to uvicorn, why, and which tests show it.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from shopbell.errors import RequestError
from shopbell.http.server.asgi import AsgiExchange
from shopbell.http.server.connection import BODY, BODY_NEW, DISCARD, HEAD, HEAD_NEW, IDLE, Connection
from shopbell.http.server.direct import DirectRoute
from shopbell.http.server.errors import BadRequest, HeaderFieldsTooLarge
from shopbell.http.server.exchange import Exchange
from shopbell.http.server.unread import NEVER

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

SLICE_BYTES = 4_096
"""How much is parsed at once. A parsed request takes more than 20 times its bytes: while one is answered, at most the
requests of one slice are parsed, and the rest is kept as bytes."""

_HOST = re.compile(rb"[A-Za-z0-9.\-_~%!$&'()*+,;=:\[\]]*")


class _Discarded(list[tuple[bytes, bytes]]):
    """Discards the trailers of a chunked body: they must not become headers (RFC 9110, 6.5.1)."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Discard."""


_TRAILERS = _Discarded()


class Protocol(Connection):
    """One connection, and the bytes that arrive on it."""

    _due: Exchange | None = None
    """An exchange that begins when all that has arrived is parsed: then handlers do not run inside the parser."""
    _parsed_url: bytes | None = None
    """The URL of the last request. The next one on the same connection usually has the same."""
    _path = ""
    _raw_path = _query_string = b""
    _route: DirectRoute | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and begin to respond."""
        if len(data) <= SLICE_BYTES and self._phase != DISCARD and not self._held and self._is_answered():
            self._feed(data)
        else:
            self._feed_slices(data)
        self._begin_due()

    def _feed_slices(self, data: bytes | memoryview) -> None:
        """Parse what has arrived, but hold back requests behind one that is not answered yet."""
        rest = memoryview(b"".join((self._held, data)) if self._held else data)
        self._held = memoryview(b"")
        while rest:
            if self._phase == DISCARD:
                self._discard(len(rest))
                return
            if self._phase not in (BODY_NEW, BODY) and not self._is_answered():
                self._held = rest
                self.flow.pause_reading()
                return
            self._feed(rest[:SLICE_BYTES])
            rest = rest[SLICE_BYTES:]

    def _feed(self, data: bytes | memoryview) -> None:
        size_bytes = len(data)
        phase = self._phase
        latest = self.cycle
        self._is_large_read = self._head_bytes + size_bytes > self.limits.header_limit_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._feed_without_upgrade(memoryview(data)[upgrade.args[0] :]):
                return
        except httptools.HttpParserError as error:
            self._fail(error)
            return
        if self._phase != IDLE:
            self._wait_for_more(size_bytes, is_only_head=phase == IDLE and latest is self.cycle)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._phase = HEAD_NEW

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head of a request, and make its exchange."""
        headers = self.headers
        parser = self.parser
        limit_bytes = self.limits.header_limit_bytes
        if len(headers) > self.limits.header_count_limit or (
            self._is_large_read and self._size_of_head() > limit_bytes
        ):
            raise HeaderFieldsTooLarge(limit_bytes)
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise BadRequest("The method CONNECT is not supported.")
            self._is_upgrade = True
            return
        version = parser.get_http_version()
        hosts = 0
        for name, value in headers:
            if name == b"host":
                hosts += 1
                if value != self._host:
                    if not _HOST.fullmatch(value):
                        raise BadRequest("Header 'host' is not a valid host.")
                    self._host = value
            elif name == b"expect":
                self.expect_100_continue = self.expect_100_continue or value.lower() == b"100-continue"
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                raise BadRequest("Header 'transfer-encoding' may only be 'chunked', and only in HTTP/1.1.")
        if version not in ("1.1", "1.0"):
            raise BadRequest("The version of HTTP must be 1.1 or 1.0.")
        if hosts != 1 and (hosts or version == "1.1"):
            raise BadRequest("There must be exactly one header 'host'.")
        latest = self.cycle
        self.cycle = self._new_exchange(parser.get_method().decode("ascii"), version)
        self.headers = _TRAILERS
        self._head_bytes = 0
        self._phase = BODY_NEW
        if latest is None or latest.response_complete:
            self._start(self.cycle)
        else:
            self.flow.pause_reading()
            self._waiting.append(self.cycle)

    def _new_exchange(self, method: str, version: str) -> Exchange:
        keep_alive = version == "1.1" and self.parser.should_keep_alive() and not self.server_state.draining
        # An HTTP/1.0 client would take 100 for the response (RFC 9110, 10.1.1).
        expect_100_continue = self.expect_100_continue and version == "1.1"
        if self.url != self._parsed_url:
            self._parse_url()
        if self._route is not None:
            new = self._route.request_class
            return new(self, self._route, method, self.headers, keep_alive, expect_100_continue)
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method,
            "root_path": self.root_path,
            "path": self._path,
            "raw_path": self._raw_path,
            "query_string": self._query_string,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        return AsgiExchange(self, scope, self.headers, keep_alive, expect_100_continue)

    def _parse_url(self) -> None:
        url = httptools.parse_url(self.url)
        self._raw_path = url.path or b"/"
        path = self._raw_path.decode("ascii")
        self._path = unquote(path) if "%" in path else path
        self._query_string = url.query or b""
        self._route = self.find_direct(self._path)
        self._parsed_url = self.url

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body until the application asks for it."""
        exchange = self.cycle
        self._has_body_come = True
        if exchange.response_complete:
            return
        if exchange.add(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.notify()

    def on_message_complete(self) -> None:
        """Note that the whole request has arrived."""
        if self._is_upgrade:
            return
        self._phase = IDLE
        exchange = self.cycle
        exchange.more_body = False
        exchange.notify()
        self.deadline_s = self._in_s(self.limits.keep_alive_timeout_s) if exchange.response_complete else NEVER

    def on_response_complete(self) -> None:
        """Start what waits behind the response."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._running is not None and self._running.lingering:
            self._linger()
        elif self._waiting:
            following = self._waiting.popleft()
            if not self._waiting and self._refusal is None:
                self.resume_reading()
            self._start(following)
            self.loop.call_soon(self._begin_due)
        elif self._refusal is not None:
            self._write(self._refusal)
        else:
            self.flow.resume_reading()
            if self._phase == IDLE:
                self.deadline_s = self._in_s(self.limits.keep_alive_timeout_s)
            if self._held:
                held, self._held = self._held, memoryview(b"")
                self._feed_slices(held)
                self.loop.call_soon(self._begin_due)

    def _start(self, exchange: Exchange) -> None:
        self._running = self._due = exchange

    def _begin_due(self) -> None:
        due, self._due = self._due, None
        if due is not None:
            due.begin()

    def _size_of_head(self) -> int:
        request_line_bytes = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n")
        return request_line_bytes + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _wait_for_more(self, size_bytes: int, *, is_only_head: bool) -> None:
        """Set the deadline of a request that has arrived in part, and count the bytes that the parser keeps."""
        if self._phase == HEAD_NEW:
            self._phase = HEAD
            # If another request came in the same read, counting starts with the next read.
            self._head_bytes = size_bytes if is_only_head else self._size_of_head()
            if self.cycle is not None:  # the first deadline runs since the connection was accepted
                self.deadline_s = self._in_s(self.limits.header_timeout_s)
        elif self._phase == HEAD:
            self._head_bytes += size_bytes
        elif self._phase == BODY_NEW:
            self._phase = BODY
            self._overhead_bytes = 0
            self.deadline_s = self._in_s(self.limits.body_timeout_s)
        else:
            # The parser keeps a trailer of any length.
            self._overhead_bytes = 0 if self._has_body_come else self._overhead_bytes + size_bytes
            if self._overhead_bytes > self.limits.header_limit_bytes:
                self._fail_body(HeaderFieldsTooLarge(self.limits.header_limit_bytes))
        self._has_body_come = False
        if self._phase == HEAD and self._head_bytes > self.limits.header_limit_bytes:
            self._refuse(HeaderFieldsTooLarge(self.limits.header_limit_bytes))

    def _feed_without_upgrade(self, rest: memoryview) -> bool:
        """Parse the request again without its ``Upgrade`` header: with it, the parser does not read the body."""
        while True:
            self._is_upgrade = False
            head = [
                self.parser.get_method(),
                b" ",
                self.url,
                b" HTTP/",
                self.parser.get_http_version().encode(),
                b"\r\n",
            ]
            for name, value in self.headers:
                kept = value
                if name == b"connection":
                    kept = b",".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")
                if name != b"upgrade":
                    head += (name, b": ", kept, b"\r\n")
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            try:
                self.parser.feed_data(b"".join((*head, b"\r\n")))
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._fail(error)
                return False
            else:
                return True

    def _fail(self, error: httptools.HttpParserError) -> None:
        """Handle bytes that the parser, or a callback of it, refused."""
        cause = error.__context__
        problem = cause if isinstance(cause, RequestError) else BadRequest("The request is not valid HTTP/1.1.")
        if self._phase in (BODY_NEW, BODY):
            self._fail_body(problem)
        else:
            self._refuse(problem)
