"""Traces by OpenTelemetry, an extra. While ``SHOPBELL_TRACES_URL`` is not set, neither SDK nor exporter is imported.

``docs/operations.md`` lists the spans. Where they begin and end: ``http/request/tracing.py``,
``conversations/commit_tracing.py``, ``webhooks/traced_send.py``. An attribute never has a text, an address, a token or
a query string.
"""

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from shopbell import __version__
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SERVER, WORKER = "shopbell", "shopbell-worker"
"""The names of the services: servers, and the processes that deliver."""
EXPORT_TIMEOUT_S = 5
CLOSE_TIMEOUT_S = 0.8
"""Seconds for the last spans of a process that ends; then they are lost."""


class Tracing:
    """The tracer of a process, which sends its spans in the background.

    Args:
        provider: creates the tracer.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("shopbell", __version__)

    async def close(self) -> None:
        """Send the last spans, but do not wait long for a collector that does not respond."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="close traces", daemon=True).start()
        with suppress(TimeoutError):
            await asyncio.wait_for(closed.wait(), CLOSE_TIMEOUT_S)


def open_tracing(settings: Settings, service: str) -> Tracing | None:
    """Start to send traces, if the settings say so.

    Args:
        settings: those of this process. OpenTelemetry's own variables, such as ``OTEL_EXPORTER_OTLP_HEADERS``, apply.
        service: ``SERVER`` or ``WORKER``.
    """
    if settings.traces_url is None:
        return None
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    # A client can send the id of a trace, but not demand that it is recorded.
    chosen = TraceIdRatioBased(settings.traces_ratio)
    provider = TracerProvider(
        sampler=ParentBased(chosen, remote_parent_sampled=chosen),
        resource=Resource.create({"service.name": service, "service.version": __version__}),
        shutdown_on_exit=False,  # it could take 30 s
    )
    provider.add_span_processor(BatchSpanProcessor(_exporter(str(settings.traces_url))))
    return Tracing(provider)


def _exporter(url: str) -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=url, timeout=EXPORT_TIMEOUT_S)
