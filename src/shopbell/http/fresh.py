"""Look-ups that are at most half a second old, however many requests ask for them at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MAX_AGE_S = 0.5
"""Half of the second within which a revocation, or a change by the command line, must be obeyed."""

MAX_ENTRIES = 10_000


class Fresh(Generic[Key, Value]):
    """A bounded memory in front of a look-up: one look-up for all who ask at once, and none while the last is fresh."""

    def __init__(self) -> None:
        self._kept: dict[Key, tuple[float, Value]] = {}
        self._under_way: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key, look_up: Callable[[], Awaitable[Value]]) -> Value:
        """The value of a key, as it was at most half a second ago.

        Args:
            key: what is asked for.
            look_up: finds the value; what it raises reaches all who asked, and is not kept.
        """
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[0] < MAX_AGE_S:
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._refresh(key, look_up))
        # Shielded: one who goes away must not end the look-up of the others.
        return await asyncio.shield(task)

    async def _refresh(self, key: Key, look_up: Callable[[], Awaitable[Value]]) -> Value:
        asked_at_s = time.monotonic()
        try:
            value = await look_up()
        finally:
            del self._under_way[key]
        self._kept.pop(key, None)
        while len(self._kept) >= MAX_ENTRIES:
            del self._kept[next(iter(self._kept))]  # the one that was looked up longest ago
        self._kept[key] = (asked_at_s, value)
        return value
