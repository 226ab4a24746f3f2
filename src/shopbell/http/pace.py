"""How slowly a body may arrive that is larger than the time for ordinary bodies allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from starlette.types import Scope

_KEY = "shopbell.pace"


@dataclass
class Pace:
    """Kept by the route that reads a body, looked at by the connection when the time for bodies is over.

    Until a route makes one, which it does only for callers that it knows, that time is final.

    Args:
        least_bytes_per_s: what the body must bring, on average over each time for bodies.
        arrived_bytes: how much of it the route has read.
    """

    least_bytes_per_s: int
    arrived_bytes: int = 0
    _counted_bytes: int = 0

    @classmethod
    def of(cls, scope: Scope, least_bytes_per_s: int) -> Self:
        """Grant a request more time as long as it keeps this pace.

        Args:
            scope: the ASGI scope of the request.
            least_bytes_per_s: at least 1.
        """
        pace = cls(least_bytes_per_s)
        scope["state"][_KEY] = pace
        return pace

    def is_kept(self, within_s: float) -> bool:
        """Whether enough has arrived since this was asked last.

        Args:
            within_s: how long ago that was, in seconds.
        """
        arrived_bytes = self.arrived_bytes - self._counted_bytes
        self._counted_bytes = self.arrived_bytes
        return arrived_bytes >= self.least_bytes_per_s * within_s


def is_kept(scope: Mapping[str, Any], within_s: float) -> bool:
    """Whether a request was granted more time, and keeps its pace.

    Args:
        scope: its ASGI scope.
        within_s: the time for bodies, in seconds.
    """
    pace = scope.get("state", {}).get(_KEY)
    return isinstance(pace, Pace) and pace.is_kept(within_s)
