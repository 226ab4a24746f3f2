"""Keep the list of conversations up to date in the worker process."""

from collections.abc import Iterator

from shopbell.db.database import Database
from shopbell.inbox import feed_consumer
from shopbell.inbox.feed_consumer import Changed
from shopbell.realtime.hub import PubSub
from shopbell.realtime.news_worker import NewsWorker
from shopbell.realtime.signals import Signal
from shopbell.settings.settings import Settings

SIGNAL_IDS_MAX = 100
_PAUSE_S = 0.02
"""The shortest pause after a turn, so that the events of this time share the next turn."""
_PAUSE_PER_EVENT_S = 0.000_5
"""The pause grows with the load, so that more events share a turn, which has the fixed cost of a hundred events."""
_PAUSE_MAX_S = 0.5


class ListKeeper(NewsWorker):
    """Consumes the feeds of all organizations until it is closed.

    Args:
        settings: those of this process.
        database: the database.
        pubsub: notifies of new events, and publishes which rows changed; must be started.
    """

    def __init__(self, settings: Settings, database: Database, pubsub: PubSub) -> None:
        super().__init__("keep the inbox up to date", pubsub, settings.shutdown_timeout_s)
        self._database = database
        self._poll_interval_s = settings.poll_interval_s
        self._last_organization_id = 0

    async def _work(self) -> None:
        await self._repeat(self._name, self._turn, self._wait_for_news)

    async def _turn(self) -> float:
        """Consume what is new; returns the seconds to wait unless there is news."""
        organization_ids = await self._database.read(feed_consumer.find_news, self._last_organization_id)
        events = 0
        for organization_id in organization_ids:
            self._last_organization_id = organization_id
            events += await self._consume(organization_id)
            if self._ending.is_set():
                break
        await self._pause(min(_PAUSE_S + events * _PAUSE_PER_EVENT_S, _PAUSE_MAX_S))
        return 0 if organization_ids else self._poll_interval_s

    async def _consume(self, organization_id: int) -> int:
        """Consume a section of a feed; returns the number of its events."""
        section = await self._database.read(feed_consumer.read_section, organization_id)
        if section is None:
            return 0
        changed = await self._database.write(feed_consumer.write_section, section)
        if changed is not None:
            for signal in signals(changed):
                self._pubsub.signal(signal)
        return section.size


def signals(changed: Changed) -> Iterator[Signal]:
    """The signals that tell employees to read rows again: one for each business.

    If there are too many rows for one signal, it names some of them and says that the whole list has changed.
    """
    for business_id, thread_ids in changed.thread_ids.items():
        data: dict[str, object] = {"customerThreadIds": [str(id_) for id_ in thread_ids[:SIGNAL_IDS_MAX]]}
        if len(thread_ids) > SIGNAL_IDS_MAX:
            data["hasMore"] = True
        yield Signal(changed.organization_id, 0, business_id, "inbox", data)
