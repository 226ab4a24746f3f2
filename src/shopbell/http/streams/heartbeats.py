"""One timer for the heartbeats of all streams of a process."""

import asyncio
from typing import Protocol

import structlog

HEARTBEAT_S = 20
"""Less than the idle timeout of proxies."""
_SLOTS = 200
"""The streams are spread over the period, so that few have their heartbeat at the same time."""

log = structlog.get_logger()


class Beating(Protocol):
    """A stream with heartbeats."""

    beat_at: int

    def beat(self) -> None:
        """Take a heartbeat."""


class Heartbeats:
    """Gives each stream a heartbeat every ``HEARTBEAT_S``.

    The timer runs while there are streams.
    """

    def __init__(self) -> None:
        self._slots: list[set[Beating]] = [set() for _ in range(_SLOTS)]
        self._now = 0
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether the timer runs."""
        return self._timer is not None

    def add(self, stream: Beating) -> None:
        """Add a stream; its first heartbeat comes after a whole period."""
        stream.beat_at = self._now
        self._slots[self._now].add(stream)
        self._count += 1
        if self._timer is None:
            self._wait()

    def remove(self, stream: Beating) -> None:
        """Remove a stream that was added."""
        self._slots[stream.beat_at].remove(stream)
        self._count -= 1

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_S / _SLOTS, self._tick)

    def _tick(self) -> None:
        self._now = (self._now + 1) % _SLOTS
        for stream in tuple(self._slots[self._now]):
            try:
                stream.beat()
            except Exception as error:  # the other streams still need theirs
                log.error("bug", job="heartbeat", exc_info=error)
        self._timer = None
        if self._count:
            self._wait()
