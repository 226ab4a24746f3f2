"""The deadline within which a client must read what was written to it."""

import asyncio
import math
from typing import Final

NEVER: Final = math.inf

STALL_S = 30.0
"""Seconds within which a client must read its response, or ``STALL_BYTES`` of it."""
STALL_BYTES = 65_536


class ReadDeadline:
    """The part of a connection that notices when its client stops reading.

    This also applies after the last response.
    """

    __slots__ = ("stalled_until_s", "transport", "unread_bytes")

    transport: asyncio.Transport
    stalled_until_s: float
    unread_bytes: int

    def is_stalled(self, now_s: float) -> bool:
        """Return whether the deadline has passed; called every half second.

        Args:
            now_s: the time of the loop, in seconds.
        """
        unread_bytes = self.transport.get_write_buffer_size()
        if not unread_bytes:
            self.stalled_until_s = NEVER
            return False
        if self.stalled_until_s == NEVER or (
            self.stalled_until_s <= now_s and unread_bytes <= self.unread_bytes - STALL_BYTES
        ):
            self.unread_bytes = unread_bytes
            self.stalled_until_s = now_s + STALL_S
        return self.stalled_until_s <= now_s
