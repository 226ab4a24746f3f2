"""Responses are counted in batches, and counted exactly."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest

from shopbell.http.request.metrics import RequestMetrics, SumHistogram

BOUNDS = (0.001, 0.5, 2)


def _exposed(kind: type[Histogram], amounts: list[float], *, at_once: bool) -> list[bytes]:
    registry = CollectorRegistry()
    child = kind("seconds", "Seconds.", ["route"], buckets=BOUNDS, registry=registry).labels("/x")
    if at_once:
        assert isinstance(child, SumHistogram)
        child.observe_all(amounts)
    else:
        for amount in amounts:
            child.observe(amount)
    return [line for line in generate_latest(registry).splitlines() if not line.startswith(b"seconds_created")]


@given(st.lists(st.sampled_from([0.0, *BOUNDS, 0.25, 3.0, 1_000.0]), max_size=20))
def test_many_values_at_once_are_counted_like_each_of_them(amounts: list[float]) -> None:
    assert _exposed(SumHistogram, amounts, at_once=True) == _exposed(Histogram, amounts, at_once=False)


def _counted(status: str) -> float:
    return REGISTRY.get_sample_value("shopbell_http_requests_total", {"route": "/test", "status": status}) or 0


def test_the_responses_of_a_turn_are_counted_at_its_end() -> None:
    async def run() -> None:
        metrics = RequestMetrics()
        for turn in (1, 2):
            for status in (200, 200, 503):
                metrics.observe("/test", status, 0.002)
            await asyncio.sleep(0)
            assert (_counted("200"), _counted("503")) == (2 * turn, turn)
        seconds = REGISTRY.get_sample_value("shopbell_http_request_seconds_count", {"route": "/test"})
        assert seconds == 6

    asyncio.run(run())
