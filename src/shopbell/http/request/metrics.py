"""The metrics of requests."""

import asyncio
from bisect import bisect_left
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class SumHistogram(Histogram):
    """A histogram that adds many values at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe each of the amounts."""
        self._sum.inc(sum(amounts))
        for place, count in Counted(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[place].inc(count)


REQUESTS = Counter("shopbell_http_requests", "Answered requests.", ["route", "status"])
REQUEST_SECONDS = SumHistogram(
    "shopbell_http_request_seconds",
    "Seconds from the headers of a request to its answer.",
    ["route"],
    buckets=_LATENCY_BUCKETS_S,
)
QUEUE_DEPTH = Gauge("shopbell_queue_depth", "Messages that wait for a batch.", multiprocess_mode="livesum")


REFUSED = "(refused)"
"""The route label of responses that the server made without a route."""


class RequestMetrics:
    """Counts responses.

    The library takes three locks for each response, so the responses of one turn of the event loop are added up first.
    A client that has read a response finds it counted.
    """

    def __init__(self) -> None:
        self._counted: defaultdict[tuple[str, int], list[float]] = defaultdict(list)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one response.

        Args:
            route: the template of the route, never the path as sent, of which there are endless ones.
            status: the HTTP status.
            seconds: from the headers to the response, in seconds.
        """
        if not self._counted:
            asyncio.get_running_loop().call_soon(self._add_up)
        self._counted[route, status].append(seconds)

    def _add_up(self) -> None:
        counted, self._counted = self._counted, defaultdict(list)
        for (route, status), seconds in counted.items():
            REQUESTS.labels(route, str(status)).inc(len(seconds))
            REQUEST_SECONDS.labels(route).observe_all(seconds)
