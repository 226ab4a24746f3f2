"""A log line for each request, cheap enough to stay on.

A line through the logging library costs a third of storing a message. These lines are kept as tuples and written
together, five times a second. A ``kill -9`` loses at most the lines of the last 0.2 s.
"""

import asyncio
import time
from collections.abc import Callable

import orjson

from shopbell.runtime.clock import log_time
from shopbell.runtime.log_output import output
from shopbell.settings.settings import Settings

WRITE_EVERY_S = 0.2
_SERVER_ERROR = 500

Line = tuple[float, str, str, str, int, float]
"""Unix time in s, request id, method, route, status, duration in s."""


class RequestLog:
    """The request lines of one process.

    Args:
        settings: ``log_format``, ``log_level`` and ``log_requests``. Answers of 500 and above are always logged.
    """

    def __init__(self, settings: Settings) -> None:
        self._logs_all = settings.log_requests and settings.log_level in ("debug", "info")
        self._render: Callable[[Line], str] = _as_json if settings.log_format == "json" else _as_text
        self._lines: list[Line] = []

    def note(self, request_id: str, method: str, route: str, status: int, duration_s: float) -> None:
        """Add the line of one answered request.

        Args:
            request_id: its id.
            method: its method.
            route: the template of the route, never the path as sent, which may contain a secret.
            status: the status of the response.
            duration_s: from the headers to the response, in seconds.
        """
        if not self._logs_all and status < _SERVER_ERROR:
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(WRITE_EVERY_S, self.write)
        self._lines.append((time.time(), request_id, method, route, status, duration_s))

    def write(self) -> None:
        """Write the lines that were added."""
        lines, self._lines = self._lines, []
        if lines:
            output().write("".join(map(self._render, lines)))


def _level(status: int) -> str:
    return "error" if status >= _SERVER_ERROR else "info"


def _as_json(line: Line) -> str:
    time_s, request_id, method, route, status, duration_s = line
    fields = {
        "timestamp": log_time(time_s),
        "level": _level(status),
        "event": "request",
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(duration_s * 1000, 2),
    }
    return orjson.dumps(fields).decode() + "\n"


def _as_text(line: Line) -> str:
    time_s, request_id, method, route, status, duration_s = line
    return (
        f"{log_time(time_s)} [{_level(status):<9}] request {status} {method} {route} "
        f"{duration_s * 1000:.2f} ms request_id={request_id}\n"
    )
