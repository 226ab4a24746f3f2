"""Deliveries are due as before when the clock is set back."""

from collections.abc import Callable
from dataclasses import replace

import structlog
from sqlalchemy import Connection, case, update

from shopbell import installation
from shopbell.clock import ClockWatch, SetBack, now_ms
from shopbell.outbox.queues import Q
from shopbell.outbox.settlements import Finished
from shopbell.schedule import TryAgain
from shopbell.storage.database import Database
from shopbell.storage.delivery_schema import delivery_queues

log = structlog.get_logger()


def move_up(tx: Connection, set_back: SetBack, *, now_ms: int) -> bool:
    """Let everything that waits be due as much earlier as the clock was set back.

    What is leased stays as it is: its worker settles it. Of several workers that notice the same change, the first one
    does this.

    Args:
        tx: the transaction.
        set_back: what happened to the clock.
        now_ms: the time in Unix ms, by the clock as it is now.

    Returns:
        Whether it was done here.
    """
    if not installation.note_set_back(tx, "deliveries", since_ms=set_back.since_ms, now_ms=now_ms):
        return False
    earlier_ms = Q.due_at_ms - set_back.by_ms
    tx.execute(
        update(delivery_queues)
        .where(Q.due_at_ms > now_ms, Q.leased_until_ms.is_(None))
        .values(due_at_ms=case((earlier_ms > now_ms, earlier_ms), else_=now_ms))
    )
    return True


def earlier(finished: Finished, by_ms: int) -> Finished:
    """What came of an attempt, with the next one due so much earlier."""
    if by_ms and isinstance(finished.outcome, TryAgain):
        return replace(finished, outcome=TryAgain(finished.outcome.due_at_ms - by_ms))
    return finished


class ClockChanges:
    """Watches the clock for one worker.

    Args:
        database: where the due times are.
        move_up: corrects those that this worker works by.
    """

    def __init__(self, database: Database, move_up: Callable[..., bool] = move_up) -> None:
        self._database = database
        self._move_up = move_up
        self._watch = ClockWatch()
        self._set_back: SetBack | None = None

    async def follow(self) -> int:
        """Correct due times in the database if the clock was set back since the last call.

        Returns:
            By how many ms it was; mostly 0.

        Raises:
            StorageError: the database failed; the next call tries again.
        """
        self._set_back = self._set_back or self._watch.look()
        if self._set_back is None:
            return 0
        by_ms = self._set_back.by_ms
        await self._database.write(self._move_up, self._set_back, now_ms=now_ms())
        self._set_back = None
        log.warning("the clock was set back; deliveries are due as before", by_s=by_ms // 1_000)
        return by_ms
