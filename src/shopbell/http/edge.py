"""The outermost layer: every request has an id, is counted and logged, and every error is told in one shape."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shopbell.errors import InternalError, MethodNotAllowed, Problem, StorageError, TemporarilyUnavailable
from shopbell.http import caching, cookies
from shopbell.http.body import ClientDisconnect
from shopbell.http.metrics import BEGAN_S, RequestMetrics
from shopbell.http.problems import ANSWER_HEADERS, Answer, render, send_answer
from shopbell.http.request_id import request_id_of
from shopbell.http.request_log import RequestLog

HotRoute = Callable[[Scope, Receive, str], Awaitable[Answer]]
"""A bare route: scope, receive and the request's id to a whole answer."""

StreamRoute = Callable[[Scope, Receive, Send, Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""A bare route that answers as long as its client listens: scope, receive, send and the headers of every answer. What
it raises before it has sent anything is the answer."""

_GONE = 499
UNMATCHED = "(no such route)"

log = structlog.get_logger()


class Edge:
    """The ASGI callable of the server.

    Args:
        hot: bare routes by their path; each takes POST.
        rest: everything else.
        streams: bare routes by their path that answer with streams; each takes GET.
        metrics: counts the answers.
        request_log: gets a line for each.
    """

    def __init__(
        self,
        hot: Mapping[str, HotRoute],
        rest: ASGIApp,
        *,
        streams: Mapping[str, StreamRoute],
        metrics: RequestMetrics,
        request_log: RequestLog,
    ) -> None:
        self._hot = hot
        self._streams = streams
        self._rest = rest
        self._request_log = request_log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        started_s = time.perf_counter()
        request_id = request_id_of(scope["headers"])
        path = scope["path"]
        route = self._hot.get(path)
        if route is None and path.startswith(("/api/", "/v1/")) and path.endswith("/"):
            scope["path"] = path.rstrip("/")  # a slash at the end is optional on every route of the API
            route = self._hot.get(scope["path"])
        if route is not None:  # none of these looks at cookies
            name = scope["path"]
            answer = await self._answer(route, scope, receive, request_id)
            if answer is None:
                return
            status = answer.status
            await send_answer(send, answer)
        elif (name := scope["path"]) in self._streams:
            cookies.hide(scope)
            status = await self._stream(self._streams[name], scope, receive, send, request_id)
        else:
            cookies.hide(scope)
            status = await self._pass_on(scope, receive, send, request_id)
            # The template, never the path: that is the client's, and may carry a secret.
            name = getattr(scope.get("route"), "path", UNMATCHED)
        elapsed_s = time.perf_counter() - started_s
        self._metrics.observe(name, status, scope[BEGAN_S] - started_s if BEGAN_S in scope else elapsed_s)
        self._request_log.note(request_id, scope["method"], name, status, elapsed_s)

    async def _answer(self, route: HotRoute, scope: Scope, receive: Receive, request_id: str) -> Answer | None:
        if scope["method"] != "POST":
            return render(MethodNotAllowed("POST"), request_id)
        try:
            return await route(scope, receive, request_id)
        except ClientDisconnect:
            return None
        except Exception as error:  # a bug of ours must be an answer, and a line in the log
            log.error("bug", request_id=request_id, exc_info=error)
            return render(InternalError(), request_id, scope.get(ANSWER_HEADERS, ()))

    async def _stream(self, route: StreamRoute, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        if scope["method"] != "GET":
            answer = render(MethodNotAllowed("GET"), request_id)
        else:
            try:
                own = (b"x-request-id", request_id.encode("ascii")), *caching.vary_of(scope["path"])
                await route(scope, receive, send, own)
            except Problem as problem:
                answer = render(problem, request_id, scope.get(ANSWER_HEADERS, ()))
            except StorageError:
                answer = render(TemporarilyUnavailable(), request_id, scope.get(ANSWER_HEADERS, ()))
            except ClientDisconnect:
                return _GONE
            else:
                return 200
        await send_answer(send, answer)
        return answer.status

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        status = 0
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", request_id.encode("ascii")), *scope["state"].get(ANSWER_HEADERS, ())
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
                status = InternalError.status
                headers = scope["state"].get(ANSWER_HEADERS, ())
                await send_answer(send, render(InternalError(), request_id, headers))
        return status
