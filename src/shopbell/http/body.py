"""Reading a request's body within its limit and its deadline."""

from starlette.types import Receive, Scope

from shopbell.errors import ContentTooLarge, ShopbellError


class ClientDisconnect(ShopbellError):
    """The client went away before its request had arrived: nobody is left to be answered."""


async def read_body(receive: Receive, scope: Scope, limit_bytes: int) -> bytes:
    """Read the whole body of a request and keep no byte above the limit.

    A declared length above the limit is refused before anything is read; a client that waits with ``Expect:
    100-continue`` then never sends the body. What is left unread is dealt with by the server's protocol class.

    Args:
        receive: the ASGI callable of the request.
        scope: the ASGI scope of the request.
        limit_bytes: the largest body, in bytes.

    Returns:
        The body.

    Raises:
        ContentTooLarge: 413, the declared or the arriving body is larger than the limit.
        RequestTimeout: 408, raised by ``receive``: the body did not arrive within its deadline.
        BadRequest: 400, raised by ``receive``: the framing of the body is broken.
        ClientDisconnect: the client closed the connection before the end of the body.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit_bytes:
            raise ContentTooLarge(limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise ContentTooLarge(limit_bytes)
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)
