"""A cache for look-ups that may be half a second old."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MAX_AGE_S = 0.5
"""Half of the second within which a revocation, or a change by the command line, must take effect."""

MAX_ENTRIES = 10_000


class TTLCache(Generic[Key, Value]):
    """A bounded cache. Requests for the same key at the same time share one look-up."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[float, Value]] = {}
        self._under_way: dict[Key, asyncio.Task[Value]] = {}

    def kept(self, key: Key) -> tuple[float, Value] | None:
        """Return the value of a key with the time of its look-up.

        None if it must be looked up.
        """
        kept = self._kept.get(key)
        return kept if kept is not None and time.monotonic() - kept[0] < MAX_AGE_S else None

    async def get(self, key: Key, look_up: Callable[[], Awaitable[Value]]) -> Value:
        """Return the value of a key, at most half a second old.

        Args:
            key: the key.
            look_up: finds the value. Its exception reaches all waiting requests and is not cached.
        """
        if (kept := self.kept(key)) is not None:
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._refresh(key, look_up))
        # Shielded: a client that goes away must not cancel the look-up of the others.
        return await asyncio.shield(task)

    async def _refresh(self, key: Key, look_up: Callable[[], Awaitable[Value]]) -> Value:
        asked_at_s = time.monotonic()
        try:
            value = await look_up()
        finally:
            del self._under_way[key]
        self._kept.pop(key, None)
        while len(self._kept) >= MAX_ENTRIES:
            del self._kept[next(iter(self._kept))]  # the oldest look-up
        self._kept[key] = (asked_at_s, value)
        return value
