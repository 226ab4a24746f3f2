"""Whether requests should be sent to this process."""

import time

import structlog

from shopbell import supervision
from shopbell.errors import StorageError
from shopbell.http.fresh import Fresh
from shopbell.storage.database import Database
from shopbell.storage.migrate import State, state

FAILURE_COUNTS_S = 5.0
"""How long a failed write makes a process not ready; then it gets another chance, with or without traffic."""


log = structlog.get_logger()


class Readiness:
    """What ``/readyz`` tells: storage reads, the last write was not refused a moment ago, and no task has just died.

    A full disk and a standby that only reads let every read pass; only the writes tell.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failed_at_s: float | None = None
        self._cannot_read = False
        # Anybody may ask: a thread for every question would be taken from the look-ups of tokens.
        self._known: Fresh[None, bool] = Fresh()

    def note_write(self, *, stored: bool) -> None:
        """Note how a write ended."""
        self._failed_at_s = None if stored else time.monotonic()

    async def is_ready(self) -> bool:
        """Whether storage works, as of half a second ago, and so does every long-lived task."""
        if supervision.failing():
            return False
        if self._failed_at_s is not None and time.monotonic() - self._failed_at_s < FAILURE_COUNTS_S:
            return False
        return await self._known.get(None, self._reads)

    async def _reads(self) -> bool:
        try:
            found = await self._database.read(state)
        except StorageError as error:
            if not self._cannot_read:
                log.warning("the database cannot be read", reason=str(error))
            self._cannot_read = True
            return False
        self._cannot_read = False
        return found is State.CURRENT
