"""Correct due times in the database after the system clock was set back."""

from typing import Protocol

import structlog
from sqlalchemy import Connection

from shopbell.db import installation
from shopbell.db.database import Database
from shopbell.runtime.clock import ClockWatch, SetBack, now_ms

log = structlog.get_logger()


class MoveUp(Protocol):
    """Makes all due times earlier; called by :func:`correct`."""

    def __call__(self, tx: Connection, by_ms: int, *, now_ms: int) -> None:
        """Subtract ``by_ms`` from all due times."""


def correct(tx: Connection, name: str, move_up: MoveUp, set_back: SetBack, *, now_ms: int) -> bool:
    """Correct due times once for each change of the clock, among all workers.

    Args:
        name: the due times that are corrected.
        move_up: corrects them.
        set_back: the change.
        now_ms: current time in Unix ms.

    Returns:
        Whether this call corrected them.
    """
    if not installation.claim_clock_correction(tx, name, since_ms=set_back.since_ms, now_ms=now_ms):
        return False
    move_up(tx, set_back.by_ms, now_ms=now_ms)
    return True


class ClockChanges:
    """Watches the clock for one worker.

    Args:
        database: has the due times.
        name: the due times that this worker uses.
        move_up: corrects them.
    """

    def __init__(self, database: Database, name: str, move_up: MoveUp) -> None:
        self._database = database
        self._name = name
        self._move_up = move_up
        self._watch = ClockWatch()
        self._set_back: SetBack | None = None

    async def follow(self) -> int:
        """Correct the due times if the clock was set back since the last call.

        Returns:
            By how many ms it was set back; mostly 0.

        Raises:
            StorageError: the database failed; the next call tries again.
        """
        self._set_back = self._set_back or self._watch.look()
        if self._set_back is None:
            return 0
        by_ms = self._set_back.by_ms
        await self._database.write(correct, self._name, self._move_up, self._set_back, now_ms=now_ms())
        self._set_back = None
        log.warning("the clock was set back; due times are corrected", due_times=self._name, by_s=by_ms // 1_000)
        return by_ms
