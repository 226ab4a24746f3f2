"""What ``/metrics`` tells (Prometheus)."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("shopbell_http_requests", "Requests that were answered.", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "shopbell_http_request_seconds", "From the headers to the answer.", ["route"], buckets=_LATENCY_BUCKETS_S
)
BATCH_SIZE = Histogram(
    "shopbell_batch_size", "Messages that shared one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
COMMIT_SECONDS = Histogram(
    "shopbell_commit_seconds", "From the begin of a batch to the end of its commit.", buckets=_LATENCY_BUCKETS_S
)
QUEUE_DEPTH = Gauge("shopbell_queue_depth", "Messages that wait for their batch.", multiprocess_mode="livesum")


REFUSED = "(refused)"
"""In a route's place, of an answer that no route made: the server gave it itself."""


BEGAN_S = "shopbell.answer_began_s"
"""Where the scope of a stream keeps when its answer began (``time.perf_counter``): how long one lives is no latency."""


class RequestMetrics:
    """Counts answers. The library's look-up by labels takes a lock and builds a key: it is done once per pair."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer.

        Args:
            route: the route's template, never the path as sent, of which there is no end.
            status: the HTTP status.
            seconds: from the headers to the answer.
        """
        pair = self._pairs.get((route, status))
        if pair is None:
            pair = (REQUESTS.labels(route, str(status)), REQUEST_SECONDS.labels(route))
            self._pairs[route, status] = pair
        pair[0].inc()
        pair[1].observe(seconds)


def exposition() -> tuple[bytes, str]:
    """The metrics of all workers of this server, with their content type."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # set for more than one worker: any of them answers for all
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    return generate_latest(registry), CONTENT_TYPE_LATEST
