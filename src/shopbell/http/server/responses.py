"""Complete responses, and the responses to errors that no route has handled."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from starlette.types import Send

from shopbell.http.server.errors import ServerError

Header = tuple[bytes, bytes]

CLOSE: Header = (b"connection", b"close")

RESPONSE_HEADERS = "shopbell.response_headers"
"""The key of the headers that every response to a request must have: in the scope of a bare route, in the state of any
other."""


class CompleteResponse(NamedTuple):
    """A complete response, ready to be sent.

    Args:
        status: the HTTP status.
        headers: names in lower case, with ``content-length``.
        body: the bytes of the body.
    """

    status: int
    headers: Sequence[Header]
    body: bytes


def header_lines(headers: Iterable[Header]) -> bytes:
    """Encode headers as lines of HTTP/1.1.

    Raises:
        RuntimeError: a bug; a header contains a line break.
    """
    lines = [b"%b: %b\r\n" % pair for pair in headers]
    encoded = b"".join(lines)
    # One check of all headers is faster than one of each.
    if encoded.count(b"\n") != len(lines) or encoded.count(b"\r") != len(lines):
        raise RuntimeError("a header of the response contains a line break")
    return encoded


ErrorResponder = Callable[[BaseException, str, Sequence[Header]], CompleteResponse]
"""Makes the response to an error, from the error, the id of the request and further headers. The application puts its
own into its lifespan state, as ``error_response``."""


def plain_response(error: BaseException, request_id: str, more_headers: Sequence[Header] = ()) -> CompleteResponse:
    """Answer an error with its text: what the server does without an ``error_response`` of the application."""
    status, text = (error.status, str(error)) if isinstance(error, ServerError) else (500, "Internal error.")
    body = text.encode()
    return CompleteResponse(
        status,
        [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"x-request-id", request_id.encode("ascii")),
            *more_headers,
        ],
        body,
    )


async def send_response(send: Send, response: CompleteResponse) -> None:
    """Send a complete response with the ASGI callable of a request."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})
