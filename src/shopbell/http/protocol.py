"""The bytes of HTTP/1.1: uvicorn's protocol class with limits, deadlines and refusals as problem details.

What it adds, and uvicorn does not do:

- a request line and headers above the limit, in bytes or in number, are refused with 431, and are not kept;
- what is not proper HTTP (no or two ``Host``, contradicting lengths, unknown bytes) is refused with 400;
- headers that do not arrive in time are refused with 408, a body by an error from ``receive`` (see ``exchange.py``);
- an answer that is given before the whole request has arrived reaches the client (see ``connection.py``);
- requests that a client sends without waiting for answers are parsed a few at a time;
- more connections than the limit are refused with 503.
"""

import re
from typing import cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from shopbell.errors import BadRequest, HeaderFieldsTooLarge, Problem
from shopbell.http.connection import BODY, BODY_NEW, DISCARD, HEAD, HEAD_NEW, IDLE, NEVER, Connection
from shopbell.http.exchange import Exchange

SLICE_BYTES = 4_096
"""How much is parsed at once. A short request takes more than 20 times its bytes when it is parsed: only those in one
slice are parsed while another is answered, and what was read behind them is kept as bytes."""

_HOST = re.compile(rb"[A-Za-z0-9.\-_~%!$&'()*+,;=:\[\]]*")


class _Nowhere(list[tuple[bytes, bytes]]):
    """Takes the trailers of a chunked body: they must not become headers, and nobody asks for them."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Forget."""


_TRAILERS = _Nowhere()


class Protocol(Connection):
    """One connection, as bytes arrive on it."""

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if len(data) <= SLICE_BYTES and self._phase != DISCARD and self._is_answered():
            self._feed(data)
        else:
            self._feed_slices(data)

    def _feed_slices(self, data: bytes | memoryview) -> None:
        """Parse what has arrived, and hold back the requests that come behind one that is not answered."""
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
        """A request begins."""
        super().on_message_begin()
        self._phase = HEAD_NEW

    def on_headers_complete(self) -> None:
        """Check the head of a request, and let the application begin."""
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
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                raise BadRequest("Header 'transfer-encoding' may only be 'chunked', and only in HTTP/1.1.")
        if version != "1.1":
            if version != "1.0":
                raise BadRequest("The version of HTTP must be 1.1 or 1.0.")
            self.scope["http_version"] = version
        if hosts != 1 and (hosts or version == "1.1"):
            raise BadRequest("There must be exactly one header 'host'.")
        latest = self.cycle
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        scope = self.scope
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = url.query or b""
        keep_alive = version == "1.1" and parser.should_keep_alive() and not self.server_state.draining
        # HTTP/1.0 knows no 100: the client would take it for the answer (RFC 9110, section 10.1.1).
        self.cycle = Exchange(self, scope, keep_alive, self.expect_100_continue and version == "1.1")
        self.headers = _TRAILERS
        self._head_bytes = 0
        self._phase = BODY_NEW
        if latest is None or latest.response_complete:
            self._start(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body until the application asks for it."""
        exchange = self.cycle
        self._has_body_come = True
        if exchange.response_complete:
            return
        exchange.body += body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.message_event.set()

    def on_message_complete(self) -> None:
        """The whole request is here."""
        if self._is_upgrade:
            return
        self._phase = IDLE
        exchange = self.cycle
        exchange.more_body = False
        exchange.message_event.set()
        self.deadline_s = self._in_s(self.limits.keep_alive_timeout_s) if exchange.response_complete else NEVER

    def on_response_complete(self) -> None:
        """Go on with what waits behind the answer that was given."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._running is not None and self._running.lingering:
            self._linger()
        elif self.pipeline:
            following = cast("Exchange", self.pipeline.pop()[0])
            if not self.pipeline and self._refusal is None:
                self.resume_reading()
            self._start(following)
        elif self._refusal is not None:
            self._write(self._refusal)
        else:
            self.flow.resume_reading()
            if self._phase == IDLE:
                self.deadline_s = self._in_s(self.limits.keep_alive_timeout_s)
            if self._held:
                held, self._held = self._held, memoryview(b"")
                self._feed_slices(held)

    def _start(self, exchange: Exchange) -> None:
        self._running = exchange
        task = self.loop.create_task(exchange.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _size_of_head(self) -> int:
        request_line_bytes = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n")
        return request_line_bytes + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _wait_for_more(self, size_bytes: int, *, is_only_head: bool) -> None:
        """Set the deadline of a request of which only a part has arrived, and count what the parser keeps of it."""
        if self._phase == HEAD_NEW:
            self._phase = HEAD
            # Behind another request in the same read, what the parser holds back counts from the next read on.
            self._head_bytes = size_bytes if is_only_head else self._size_of_head()
            if self.cycle is not None:  # else the time runs since the connection was accepted
                self.deadline_s = self._in_s(self.limits.header_timeout_s)
        elif self._phase == HEAD:
            self._head_bytes += size_bytes
        elif self._phase == BODY_NEW:
            self._phase = BODY
            self._overhead_bytes = 0
            self.deadline_s = self._in_s(self.limits.body_timeout_s)
        else:
            # The parser would keep a trailer, however long it is.
            self._overhead_bytes = 0 if self._has_body_come else self._overhead_bytes + size_bytes
            if self._overhead_bytes > self.limits.header_limit_bytes:
                self._spoil(HeaderFieldsTooLarge(self.limits.header_limit_bytes))
        self._has_body_come = False
        if self._phase == HEAD and self._head_bytes > self.limits.header_limit_bytes:
            self._refuse(HeaderFieldsTooLarge(self.limits.header_limit_bytes))

    def _feed_without_upgrade(self, rest: memoryview) -> bool:
        """Parse the request again without its ``Upgrade`` header, because the parser would not read its body."""
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
        """Deal with bytes that cannot be parsed, or that a callback of the parser refused."""
        cause = error.__context__
        problem = cause if isinstance(cause, Problem) else BadRequest("The request is not proper HTTP/1.1.")
        if self._phase in (BODY_NEW, BODY):
            self._spoil(problem)
        else:
            self._refuse(problem)
