"""Spans that a server in the tests' process makes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from harness.installation import Installation, Server
from shopbell.runtime import tracing

URL = "http://127.0.0.1:9/v1/traces"
"""Where nothing listens: the spans are kept in memory."""


class Spans:
    """All spans of a server and its worker; complete once the server has ended."""

    def __init__(self) -> None:
        self._exporters: list[InMemorySpanExporter] = []

    def exporter(self, _url: str) -> InMemorySpanExporter:
        """Make one exporter for each process, which ends with its process."""
        self._exporters.append(InMemorySpanExporter())
        return self._exporters[-1]

    @property
    def all(self) -> Sequence[ReadableSpan]:
        """The spans in the order of their ends, process by process."""
        return [span for exporter in self._exporters for span in exporter.get_finished_spans()]

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of a name."""
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span of a name."""
        (span,) = self.named(name)
        return span

    @property
    def text(self) -> str:
        """All that the spans say."""
        return "\n".join(span.to_json() for span in self.all)


def traceparent(span: ReadableSpan) -> str:
    """The header that continues a trace from a span."""
    context = span.context
    return f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    found: dict[str, Any] = json.loads(span.to_json())["attributes"]
    return found


@contextmanager
def traced(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> Iterator[tuple[Server, Spans]]:
    """A server whose spans are kept."""
    spans = Spans()
    monkeypatch.setattr(tracing, "_exporter", spans.exporter)
    with installation.serving(traces_url=URL, **settings) as server:
        yield server, spans
