"""A server and its worker process send their spans to a collector (OTLP over HTTP)."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.failing_receivers import Receivers
from harness.installation import Installation, ServerProcess
from harness.several import delivered, subscribe
from harness.shop import WIDGET, Shop
from harness.workers import WorkerProcess
from harness.world import World
from shopbell import __version__

NAMES = {f"POST {WIDGET}", "store message", "commit"}
WITHOUT_THE_EXTRA = "import sys; sys.modules['opentelemetry.sdk'] = None; from shopbell.cli import main; main()"
FROM_NOTHING = ("-c", "from shopbell.cli import main; main()")
END_WITHIN_S = 8
"""A collector that does not respond delays the end by less than a second; the rest is for a busy machine."""


class Collector:
    """Receives spans, decodes them and keeps them."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.is_silent = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if collector.is_silent.is_set():
                    time.sleep(60)
                    return
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.paths.append(self.path)
                if self.path != "/v1/traces":
                    self.send_error(404)
                    return
                sent = ExportTraceServiceRequest.FromString(body)
                collector.requests.append((self.path, dict(self.headers.items()), sent))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self, service: str) -> list[str]:
        """The names of the spans of a service."""
        found = []
        for _, _, sent in self.requests:
            for resource in sent.resource_spans:
                about = {each.key: each.value.string_value for each in resource.resource.attributes}
                assert about["service.version"] == __version__
                if about["service.name"] == service:
                    found += [span.name for scope in resource.scope_spans for span in scope.spans]
        return found

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    collector = Collector()
    yield collector
    collector.close()


def test_a_server_and_its_worker_send_their_spans_before_they_end(
    installation: Installation,
    people: World,
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc")
    receivers = Receivers(tmp_path)
    try:
        with installation.serving(traces_url=collector.url, outbound_allow="127.0.0.0/8") as server:
            assert isinstance(server, ServerProcess)
            shop = Shop(server, people)
            hook = subscribe(shop, receivers.add())
            shop.send()
            delivered(shop, hook, 1)
            assert server.terminate() == 0
    finally:
        receivers.close()
    assert set(collector.spans("shopbell")) >= NAMES
    assert collector.spans("shopbell-worker") == ["POST webhook"]
    for path, headers, _ in collector.requests:
        assert path == "/v1/traces"
        assert headers["authorization"] == "Basic abc"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_collector_that_does_not_respond_delays_neither_messages_nor_the_end(
    installation: Installation, people: World, collector: Collector
) -> None:
    collector.is_silent.set()
    with installation.serving(traces_url=collector.url) as server:
        assert isinstance(server, ServerProcess)
        Shop(server, people).send()
        begun_s = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - begun_s < END_WITHIN_S
        assert collector.requests == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_without_the_extra_the_error_names_it(installation: Installation, collector: Collector) -> None:
    installation.server_program = ("-c", WITHOUT_THE_EXTRA)
    expected = r"SHOPBELL_TRACES_URL: .*pip install 'shopbell\[otel\]'"
    with pytest.raises(AssertionError, match=expected), installation.serving(traces_url=collector.url):
        pass
    worker = WorkerProcess(installation, traces_url=collector.url)
    with pytest.raises(AssertionError, match=r"pip install 'shopbell\[otel\]'"):
        worker.wait_until_started()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_telemetry_of_fastapi_exports_nothing(installation: Installation, collector: Collector) -> None:
    """It would export paths, addresses and messages of errors."""
    variables = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.removesuffix("/v1/traces"),
    }
    server_of = replace(installation, settings={**installation.settings, **variables}, server_program=FROM_NOTHING)
    with server_of.serving(run_worker=False) as server:
        assert isinstance(server, ServerProcess)
        assert server.client.get("/api/threads?limit=x").status_code == 401
        assert server.client.get("/healthz").status_code == 200
        assert server.terminate() == 0
    assert collector.paths == []
