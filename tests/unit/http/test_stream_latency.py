"""The latency of a stream is the time until its response begins."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
from starlette.types import Receive, Scope, Send

from shopbell.http import middleware
from shopbell.http.middleware import Middleware
from shopbell.http.request.problems import Problems

ROUTE = "/api/stream"


@pytest.mark.parametrize("ends_at_once", [True, False])
def test_a_stream_has_its_duration_and_its_latency(monkeypatch: pytest.MonkeyPatch, ends_at_once: bool) -> None:
    monkeypatch.setattr(middleware.time, "perf_counter", count().__next__)  # each look at the clock takes a second
    noted: list[tuple[object, ...]] = []
    ends: list[Callable[[], None]] = []

    async def stream(
        _scope: Scope, _receive: Receive, _send: Send, _headers: object, on_end: Callable[[], None]
    ) -> None:
        ends.append(on_end)
        if ends_at_once:
            on_end()

    async def nothing(*_: object) -> None:
        raise AssertionError

    app = Middleware(
        [], nothing, streams={ROUTE: stream}, problems=Problems(), note_response=lambda *all_: noted.append(all_)
    )
    scope = {"type": "http", "method": "GET", "path": ROUTE, "headers": [], "state": {"request_id": "1"}}
    asyncio.run(app(scope, nothing, nothing))
    if not ends_at_once:
        ends[0]()
    duration_s, latency_s = (1, 1) if ends_at_once else (2, 1)
    assert noted == [("1", "GET", ROUTE, 200, duration_s, latency_s)]
