"""One timer serves the heartbeats of all streams."""

import asyncio
from collections.abc import Callable

import pytest

from shopbell.http.streams import heartbeats
from shopbell.http.streams.heartbeats import Heartbeats

PERIOD_S = 0.2


class Stream:
    """Counts its heartbeats."""

    def __init__(self) -> None:
        self.beat_at = 0
        self.beats = 0

    def beat(self) -> None:
        """Count."""
        self.beats += 1


class Broken(Stream):
    """A stream with a bug."""

    def beat(self) -> None:
        """Fail."""
        super().beat()
        raise ValueError


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_S", PERIOD_S)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


def test_each_stream_has_heartbeats_until_it_is_removed() -> None:
    async def test() -> None:
        beats = Heartbeats()
        streams = [Stream() for _ in range(50)]
        for stream in streams:
            beats.add(stream)
        await _until(lambda: all(stream.beats >= 2 for stream in streams))
        first, *rest = streams
        beats.remove(first)
        had = first.beats
        await _until(lambda: all(stream.beats >= had + 2 for stream in rest))
        assert first.beats == had

    asyncio.run(test())


def test_a_bug_in_one_stream_stops_no_other() -> None:
    async def test() -> None:
        beats = Heartbeats()
        broken, stream = Broken(), Stream()
        beats.add(broken)
        beats.add(stream)
        await _until(lambda: stream.beats >= 2)
        assert broken.beats

    asyncio.run(test())


def test_the_timer_stops_without_streams_and_starts_again() -> None:
    async def test() -> None:
        beats = Heartbeats()
        for _ in range(2):
            assert not beats.is_running
            stream = Stream()
            beats.add(stream)
            while not stream.beats:
                assert beats.is_running
                await asyncio.sleep(0.01)
            beats.remove(stream)
            await _until(lambda: not beats.is_running)

    asyncio.run(test())
