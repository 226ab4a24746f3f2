"""Whether this process can take requests."""

import time
from collections.abc import Callable, Sequence

import structlog

from shopbell.db.database import Database
from shopbell.db.migrate import State, state
from shopbell.errors import StorageError
from shopbell.http.request.ttl_cache import TTLCache
from shopbell.runtime import supervision

FAILURE_COUNTS_S = 5.0
"""Seconds for which a failed write makes a process not ready. Then it gets another chance."""


log = structlog.get_logger()


class Readiness:
    """The state behind ``/readyz``.

    This process is ready if the database can be read, no write has just failed, and all tasks run. Writes count because
    reads still work on a full disk and on a read-only standby.

    Args:
        database: the database.
        failing_in_worker: returns the names of tasks in the worker process that died a moment ago.
    """

    def __init__(self, database: Database, failing_in_worker: Callable[[], Sequence[str]] = tuple) -> None:
        self._database = database
        self._failing_in_worker = failing_in_worker
        self._failed_at_s: float | None = None
        self._cannot_read = False
        # Anyone may ask. A read for each request would take threads from the look-ups of tokens.
        self._known: TTLCache[None, bool] = TTLCache()

    def note_write(self, *, stored: bool) -> None:
        """Record whether a write succeeded."""
        self._failed_at_s = None if stored else time.monotonic()

    async def is_ready(self) -> bool:
        """Return whether the storage and all tasks work. The response may be half a second old."""
        if supervision.failing() or self._failing_in_worker():
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
