"""Read the body of a request within its limit and its deadline."""

from collections.abc import Callable, Sequence

from starlette.types import Receive, Scope

from shopbell.http.request.errors import ContentTooLarge
from shopbell.http.server.direct import DirectRequest
from shopbell.http.server.errors import ClientDisconnect


class _Parts:
    """The parts of a body that have arrived, but no byte above the limit.

    If the declared length is above the limit, nothing is read: a client that sent ``Expect: 100-continue`` then never
    sends the body. The server handles what is left unread.

    Raises:
        ContentTooLarge: 413; the declared length is above the limit.
    """

    __slots__ = ("_limit_bytes", "_parts", "_size_bytes")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], limit_bytes: int) -> None:
        for name, value in headers:
            if name == b"content-length" and int(value) > limit_bytes:
                raise ContentTooLarge(limit_bytes)
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def add(self, part: bytes, has_more: bool) -> bytes | None:
        """Add a part, and return the whole body if it was the last.

        Raises:
            ContentTooLarge: 413; the actual length is above the limit.
        """
        self._size_bytes += len(part)
        if self._size_bytes > self._limit_bytes:
            raise ContentTooLarge(self._limit_bytes)
        self._parts.append(part)
        return None if has_more else b"".join(self._parts)


async def read_body(receive: Receive, scope: Scope, limit_bytes: int) -> bytes:
    """Read the whole body of a request to an ASGI route.

    Raises:
        ContentTooLarge: 413; the declared or the actual length is above the limit.
        RequestTimeout: 408, from ``receive``; the body did not arrive within its deadline.
        BadRequest: 400, from ``receive``; the framing of the body is invalid.
        ClientDisconnect: the client closed the connection before the end of the body.
    """
    parts = _Parts(scope["headers"], limit_bytes)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body = parts.add(message.get("body", b""), message.get("more_body", False))
        if body is not None:
            return body


def read_direct_body(request: DirectRequest, limit_bytes: int, then: Callable[[bytes], None]) -> None:
    """Read the whole body of a request to a direct route.

    The other errors of ``read_body`` end the request.

    Args:
        request: the request.
        limit_bytes: the longest body.
        then: called with the whole body. What it raises becomes the response.

    Raises:
        ContentTooLarge: 413; the declared length is above the limit.
    """
    request.read_body(_Parts(request.headers, limit_bytes).add, then)
