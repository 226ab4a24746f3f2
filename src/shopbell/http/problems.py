"""Errors as a client sees them: RFC 9457 problem details, in one shape for routes and server alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson
from starlette.types import Send

from shopbell.errors import Problem
from shopbell.http.caching import API_HEADERS

CONTENT_TYPE = b"application/problem+json"
_reference = "/problems/"

ANSWER_HEADERS = "shopbell.answer_headers"
"""Where a bare route in its scope, and any other in its state, notes the headers that every answer must have."""


def serve_under(public_url: str | None) -> None:
    """Let the ``type`` of every problem of this process lead to the page that explains it.

    Args:
        public_url: the address of this server, which may end with the path that a proxy puts before ours.
    """
    global _reference
    path = urlsplit(public_url).path.rstrip("/") if public_url else ""
    _reference = f"{path}/problems/"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, ready to be sent.

    Args:
        status: the HTTP status.
        headers: names in lower case, with ``content-length``.
        body: the bytes of the body.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def render(problem: Problem, request_id: str, more_headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """Turn a problem into the answer that tells it.

    Args:
        problem: what is wrong; its own headers (``Retry-After``, ``Allow``, …) are part of the answer.
        request_id: the id of the request, a UUID as text.
        more_headers: headers that the route adds, such as ``RateLimit``; names in lower case.

    Returns:
        The answer: JSON with ``type``, ``title``, ``status``, ``detail``, ``instance``, ``developerMessage``, and then
        what the problem carries beside.
    """
    body = orjson.dumps(
        {
            "type": _reference + problem.name,
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "instance": "urn:uuid:" + request_id,
            "developerMessage": problem.developer_message,
            **problem.members(),
        }
    )
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"x-request-id", request_id.encode("ascii")),
    ]
    headers += API_HEADERS
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers().items()]
    headers += more_headers
    return Answer(problem.status, headers, body)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer.

    Args:
        send: the ASGI callable of the request.
        answer: what to send.
    """
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
