"""A span for each request. Imported only if traces are on: nothing here costs anything otherwise.

A request with ``traceparent`` (W3C Trace Context) continues that trace. Streams have no span: they last for hours.
"""

from collections.abc import Callable, Container, Iterable
from http import HTTPMethod

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shopbell.http.server.direct import DirectRequest
from shopbell.http.server.responses import Header

_PROPAGATOR = TraceContextTextMapPropagator()
_METHODS = frozenset(HTTPMethod)
_SERVER_ERROR = 500


class TracedApp:
    """An ASGI application with a span for each request.

    Args:
        app: the application.
        tracer: makes the spans.
        untraced: paths without a span.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer, untraced: Container[str]) -> None:
        self._app = app
        self._tracer = tracer
        self._untraced = untraced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request in its span."""
        if scope["type"] != "http" or scope["path"].rstrip("/") in self._untraced:
            await self._app(scope, receive, send)
            return
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        span = _begin(self._tracer, scope["method"], scope["headers"], scope["state"]["request_id"])
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                await self._app(scope, receive, note_status)
        finally:
            _end(span, scope["method"], getattr(scope.get("route"), "path", None), status)


class TracedRequest(DirectRequest):
    """A request to a direct route, with a span."""

    tracer: Tracer
    """Set in the subclass that ``traced`` makes."""
    _span: Span = INVALID_SPAN
    """Stays invalid if the request is refused before it begins."""

    def begin(self) -> None:
        """Begin the span, then call the handler."""
        self._span = _begin(self.tracer, self.method, self.headers, self.request_id)
        super().begin()

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Do a step in the span: each step of a direct route comes through here."""
        with use_span(self._span, record_exception=False, set_status_on_exception=False):
            super().call(function, *arguments)

    def respond_with(self, status: int, lines: bytes, body: bytes) -> None:
        """Respond, then end the span."""
        super().respond_with(status, lines, body)
        if (self.response_complete or self.disconnected) and self._span.is_recording():
            _end(self._span, self.method, self._route.name, status)


def traced(tracer: Tracer) -> type[DirectRequest]:
    """Return the class of requests to direct routes whose spans this tracer makes."""

    class Traced(TracedRequest):
        pass

    Traced.tracer = tracer
    return Traced


def _begin(tracer: Tracer, method: str, headers: Iterable[Header], request_id: str) -> Span:
    attributes = {"http.request.method": _known(method), "shopbell.request_id": request_id}
    return tracer.start_span(_known(method), _parent(headers), SpanKind.SERVER, attributes)


def _end(span: Span, method: str, route: str | None, status: int) -> None:
    """End a span.

    Args:
        span: the span.
        method: the method of the request.
        route: the template of the route, never the path as sent, which may contain a secret; None if there is none.
        status: of the response; 0 if there was none.
    """
    if route is not None:
        span.update_name(f"{_known(method)} {route}")
        span.set_attribute("http.route", route)
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.set_status(StatusCode.ERROR)
    span.end()


def _known(method: str) -> str:
    """A method of HTTP; what else a client sends must not be in a trace."""
    return method if method in _METHODS else "_OTHER"


def _parent(headers: Iterable[Header]) -> Context:
    """The span that the client sent, if it sent a valid one; otherwise the request begins a trace."""
    # Not ``tracestate``: that can be any text.
    sent = {name.decode(): value.decode("latin-1") for name, value in headers if name == b"traceparent"}
    return _PROPAGATOR.extract(sent, Context())
