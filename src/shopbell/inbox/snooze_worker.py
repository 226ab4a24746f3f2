"""End snoozes in the worker process, at their time or because of an event."""

from collections.abc import Mapping
from functools import partial

from shopbell.db.database import Database
from shopbell.inbox import snoozes
from shopbell.realtime.hub import PubSub
from shopbell.realtime.news_worker import NewsWorker
from shopbell.runtime import clock
from shopbell.settings.settings import Settings

LOOK_EVERY_S = 0.5
"""The shortest time between two looks."""


class SnoozeWorker(NewsWorker):
    """Ends snoozes until it is closed. Any number of workers share the work.

    Args:
        settings: those of this process.
        database: the database.
        pubsub: notifies of news, and publishes the ends of snoozes; must be started.
    """

    def __init__(self, settings: Settings, database: Database, pubsub: PubSub) -> None:
        super().__init__("end snoozes", pubsub, settings.shutdown_timeout_s)
        self._settings = settings
        self._database = database
        self._positions: Mapping[int, int] = {}

    async def _work(self) -> None:
        await self._repeat(self._name, self._look, partial(self._wait_for_news, at_least_s=LOOK_EVERY_S))

    async def _look(self) -> float:
        """End due snoozes; returns the seconds to wait unless there is news."""
        outlook = await self._database.read(snoozes.look, self._positions, now_ms=clock.now_ms())
        for organization_id, thread_ids in outlook.over.items():
            if await self._database.write(snoozes.end_over, organization_id, thread_ids, now_ms=clock.now_ms()):
                self._pubsub.publish([organization_id])
        self._positions = outlook.positions
        if outlook.over:
            return 0
        if outlook.next_due_ms is None:
            return self._settings.poll_interval_s
        return min(max(outlook.next_due_ms - clock.now_ms(), 1) / 1_000, self._settings.poll_interval_s)
