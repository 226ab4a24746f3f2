"""All metrics of a server or worker, in Prometheus' text format. ``docs/metrics.md`` describes each."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from shopbell import __version__

# The time at which each counter began: a third of all lines, which nothing uses and several servers do not have.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

BUILD = Gauge("shopbell_build_info", "Always 1; the label has the version.", ["version"], multiprocess_mode="livemax")
BUILD.labels(__version__).set(1)


def exposition() -> tuple[bytes, str]:
    """Return the metrics of this process, or of all processes of this server, and their content type."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # set if there are several server processes: any answers for all
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    return encode(registry), CONTENT_TYPE_LATEST


def encode(registry: CollectorRegistry) -> bytes:
    """Return the metrics of a registry in Prometheus' text format."""
    return generate_latest(registry)
