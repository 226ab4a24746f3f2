"""The minimum rate of bodies that may take longer than the timeout of ordinary bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from starlette.types import Scope

_KEY = "shopbell.upload_rate"


@dataclass
class MinUploadRate:
    """A longer deadline for one body, as long as it arrives fast enough.

    The route that reads the body counts its bytes. The connection checks the rate each time the body timeout passes.
    Routes use this only for authenticated callers; for all others the body timeout is final.

    Args:
        least_bytes_per_s: the average that each period of the body timeout must reach; at least 1.
        arrived_bytes: the bytes that the route has read so far.
    """

    least_bytes_per_s: int
    arrived_bytes: int = 0
    _counted_bytes: int = 0

    @classmethod
    def of(cls, scope: Scope, least_bytes_per_s: int) -> Self:
        """Extend the deadline of the request with this ASGI scope."""
        rate = cls(least_bytes_per_s)
        scope["state"][_KEY] = rate
        return rate

    def is_kept(self, within_s: float) -> bool:
        """Return whether enough has arrived since the last call.

        Args:
            within_s: seconds since the last call.
        """
        arrived_bytes = self.arrived_bytes - self._counted_bytes
        self._counted_bytes = self.arrived_bytes
        return arrived_bytes >= self.least_bytes_per_s * within_s


def is_kept(scope: Mapping[str, Any], within_s: float) -> bool:
    """Return whether a request has a longer deadline and arrives fast enough.

    Args:
        scope: the ASGI scope of the request.
        within_s: the body timeout, in seconds.
    """
    rate = scope.get("state", {}).get(_KEY)
    return isinstance(rate, MinUploadRate) and rate.is_kept(within_s)
