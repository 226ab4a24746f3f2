"""The outermost layer of the ASGI application.

It logs each request, and gives all error responses one format.
"""

import math
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shopbell.errors import RequestError, StorageError
from shopbell.http.request import caching, cookies
from shopbell.http.request.errors import MethodNotAllowed
from shopbell.http.request.problems import Problems
from shopbell.http.server.connection import NoteResponse
from shopbell.http.server.direct import DirectRoute
from shopbell.http.server.errors import ClientDisconnect, InternalError
from shopbell.http.server.responses import RESPONSE_HEADERS, send_response

StreamRoute = Callable[[Scope, Receive, Send, Sequence[tuple[bytes, bytes]], Callable[[], None]], Awaitable[None]]
"""A bare route that detaches a stream (``server/detached.py``): takes scope, receive, send, the headers of every
response, and what to call when the stream has ended. An error that it raises becomes the response."""

_GONE = 499
UNMATCHED = "(no such route)"

log = structlog.get_logger()


def _without_final_slash(path: str) -> str:
    """Drop the final slash of a path: it is optional on all API routes."""
    return path.rstrip("/") if path.startswith(("/api/", "/v1/")) else path


class Middleware:
    """The ASGI application of the server, and the way to its direct routes.

    Args:
        direct: the direct routes.
        rest: everything else.
        streams: bare streaming routes by path, for GET.
        problems: turns errors into responses.
        note_response: counts and logs each response, as the server does for direct routes.
    """

    def __init__(
        self,
        direct: Iterable[DirectRoute],
        rest: ASGIApp,
        *,
        streams: Mapping[str, StreamRoute],
        problems: Problems,
        note_response: NoteResponse,
    ) -> None:
        self._direct = {route.name: route for route in direct}
        self._streams = streams
        self._rest = rest
        self._render = problems.render
        self._note_response = note_response

    def find_direct(self, path: str) -> DirectRoute | None:
        """Return the direct route of a path.

        The server asks before it passes a request to this application.
        """
        return self._direct.get(_without_final_slash(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        started_s = time.perf_counter()
        request_id: str = scope["state"]["request_id"]
        name = scope["path"] = _without_final_slash(scope["path"])
        cookies.hide(scope)
        if name in self._streams:
            end = _StreamEnd(self._note_response, request_id, name, started_s)
            status = await self._stream(self._streams[name], scope, receive, send, end)
            if not status:
                return
        else:
            status = await self._pass_on(scope, receive, send, request_id)
            # The template, never the path as sent, which may contain a secret.
            name = getattr(scope.get("route"), "path", UNMATCHED)
        elapsed_s = time.perf_counter() - started_s
        self._note_response(request_id, scope["method"], name, status, elapsed_s, elapsed_s)

    async def _stream(self, route: StreamRoute, scope: Scope, receive: Receive, send: Send, end: "_StreamEnd") -> int:
        """Return the status of the response.

        0 if it is a stream, whose response is noted when it has ended.
        """
        if scope["method"] != "GET":
            response = self._render(MethodNotAllowed("GET"), end.request_id)
        else:
            try:
                own = (b"x-request-id", end.request_id.encode("ascii")), *caching.vary_of(end.route)
                await route(scope, receive, send, own, end)
            except (RequestError, StorageError) as error:
                response = self._render(error, end.request_id, scope.get(RESPONSE_HEADERS, ()))
            except ClientDisconnect:
                return _GONE
            else:
                end.began_s = time.perf_counter()
                return 0
        await send_response(send, response)
        return response.status

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", request_id.encode("ascii")), *scope["state"].get(RESPONSE_HEADERS, ())
                headers = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
                headers = caching.complete(headers, scope["path"])
                message = {**message, "headers": [*headers, *own]}
            await send(message)

        try:
            await self._rest(scope, receive, send_with_id)
        except ClientDisconnect:
            pass
        except Exception as error:  # as above
            log.error("bug", request_id=request_id, exc_info=error)
            if not status:
                status = 500
                headers = scope["state"].get(RESPONSE_HEADERS, ())
                await send_response(send, self._render(InternalError(), request_id, headers))
        return status


class _StreamEnd:
    """Notes the response of a stream when it has ended. Its duration is no latency."""

    __slots__ = ("_note_response", "_started_s", "began_s", "request_id", "route")

    def __init__(self, note_response: NoteResponse, request_id: str, route: str, started_s: float) -> None:
        self._note_response = note_response
        self.request_id = request_id
        self.route = sys.intern(route)  # thousands of streams have the same one
        self._started_s = started_s
        self.began_s = math.inf  # a stream may end before this is set

    def __call__(self) -> None:
        now_s = time.perf_counter()
        latency_s = min(self.began_s, now_s) - self._started_s
        self._note_response(self.request_id, "GET", self.route, 200, now_s - self._started_s, latency_s)
