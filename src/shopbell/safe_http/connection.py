"""A connection of the HTTP client: aiohttp's, with our failures and limits."""

import asyncio
import re
import ssl
from typing import Any

from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError

from shopbell.safe_http.errors import ConnectionLost, OutboundFailure, ResponseNotHttp
from shopbell.safe_http.tls import tls_failure

HEAD_LIMIT_BYTES = 100_000
"""Maximum length of all that comes before the body, including any number of informational responses (1xx)."""
_HEAD_END = re.compile(rb"\n\r?\n|\A\r?\n")
_FINAL_STATUS_MIN = 200
_SWITCHING_PROTOCOLS = 101


class Connection(ResponseHandler):
    """Reads one response after another.

    It ends the connection if a receiver sends bytes that belong to no response.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head_bytes = 0
        self._has_head = False

    def set_response_params(self, **params: Any) -> None:
        """Begin to read a response."""
        self._head_bytes = 0
        self._has_head = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Read more of the response; bytes behind its end close the connection."""
        begin = 0
        # aiohttp loses a response that is followed by an error in the same piece. So each head is a piece of its own.
        while begin < len(data) and not self._has_head:
            found = _HEAD_END.search(data, begin)
            end = found.end() if found else len(data)
            self._head_bytes += end - begin
            super().data_received(data[begin:end])
            begin = end
            if self.exception() is not None:
                return
            if not self._has_head and self._head_bytes > HEAD_LIMIT_BYTES:
                self.set_exception(ResponseNotHttp("the head of the response is too long"))
                return
        if begin == len(data):
            if not data:  # aiohttp continues with what it has
                super().data_received(data)
        elif self._has_ended:
            self.abort()
        else:
            super().data_received(data[begin:])

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Pass on the head of a response."""
        code = data[0].code
        self._has_head = code >= _FINAL_STATUS_MIN or code == _SWITCHING_PROTOCOLS
        super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail if the response has not ended.

        aiohttp takes a reset for the end of a response without a length.
        """
        if exc is not None:
            self.set_exception(exc, exc)
        super().connection_lost(exc)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Fail with one of our errors.

        aiohttp repeats no request after these, and they quote nothing.
        """
        if self._has_ended:
            self.abort()
            return
        failure = exc if isinstance(exc, OutboundFailure) else _failure(exc, exc_cause)
        super().set_exception(failure)
        if self._payload is not None and self._payload.exception() is None:
            self._payload.set_exception(failure)

    @property
    def _has_ended(self) -> bool:
        return self._has_head and (self._payload is None or self._payload.is_eof())

    def close(self) -> None:
        """Abort the connection.

        A peer that does not read could delay a clean close forever.
        """
        self.abort()


def _failure(error: BaseException, cause: BaseException | None) -> OutboundFailure:
    if isinstance(cause, ssl.SSLError):  # the peer rejected the encryption after the handshake
        return tls_failure(cause)
    if isinstance(error, HttpProcessingError):
        return ResponseNotHttp("the response is not HTTP/1.1")
    if isinstance(error, OSError):
        return ConnectionLost("the receiver reset the connection")
    return ConnectionLost("the receiver closed the connection without a response")
