"""Long polling: requests that wait for events, limited in number and without a database connection."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive

from shopbell.db.database import Database
from shopbell.errors import QuotaExceeded, RequestError
from shopbell.events import feed
from shopbell.events.feed import Page
from shopbell.http.request.ttl_cache import TTLCache
from shopbell.realtime.hub import Listener, PubSub

WAITING_PER_CALLER = 16
"""The most waiting requests of one token or employee, per server process."""


class TooManyLongPolls(QuotaExceeded):
    """429: too many requests of this token are waiting, or too many streams are open."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=1)
        self.developer_message = "Rate limit 'waiting requests' exceeded"


class LongPolling:
    """The waiting requests of one process.

    Args:
        pubsub: notifies of new events.
        database: the database with the feeds.
        poll_interval_s: seconds after which a request looks anyway, because a wake-up may be lost.
    """

    def __init__(self, pubsub: PubSub, database: Database, poll_interval_s: float) -> None:
        self._pubsub = pubsub
        self._database = database
        self._poll_interval_s = poll_interval_s
        self._of_caller: Counter[int] = Counter()
        self._positions: TTLCache[int, int] = TTLCache()

    async def page(
        self,
        organization_id: int,
        caller_id: int,
        read: Callable[[int | None], Awaitable[Page]],
        after: int | None,
        receive: Receive,
        wait_s: float,
    ) -> Page:
        """Return a page of the feed, as soon as it has an event.

        The page is empty if the time is over, the server is about to stop, or the client has gone.

        Args:
            organization_id: the organization with the feed.
            caller_id: the token or employee that waits.
            read: reads the page after a position.
            after: the position to continue from; None for the oldest event.
            receive: the ASGI callable of the request, which tells when the client has gone.
            wait_s: the most seconds to wait; 0 returns at once.

        Raises:
            TooManyLongPolls: 429.
            StorageError: 503.
        """
        if not wait_s:
            return await read(after)
        end_s = time.monotonic() + wait_s
        with (
            self._counted(caller_id),
            self._pubsub.listen(organization_id) as listener,
            _watched(receive, listener) as gone,
        ):
            page = await read(after)
            while not (page.events or page.has_more or page.truncated):
                left_s = end_s - time.monotonic()
                if left_s <= 0 or gone.done() or self._pubsub.is_ending:
                    break
                woken = await listener.wait(min(self._poll_interval_s, left_s))
                if woken or await self._position(organization_id) != page.last_position:
                    page = await read(page.last_position)
            return page

    async def _position(self, organization_id: int) -> int:
        """Return the last position of the feed. All waiting requests share one look-up."""
        look = feed.last_position
        return await self._positions.get(organization_id, lambda: self._database.read(look, organization_id))

    @contextmanager
    def _counted(self, caller_id: int) -> Iterator[None]:
        if self._of_caller[caller_id] >= WAITING_PER_CALLER:
            raise TooManyLongPolls
        self._of_caller[caller_id] += 1
        try:
            yield
        finally:
            self._of_caller[caller_id] -= 1
            if not self._of_caller[caller_id]:
                del self._of_caller[caller_id]


@contextmanager
def _watched(receive: Receive, listener: Listener) -> Iterator["asyncio.Task[None]"]:
    """Start a task that ends, and wakes the listener, when the client has gone."""

    async def watch() -> None:
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except RequestError:
            pass  # this request needs no body
        finally:
            listener.wake()

    task = asyncio.create_task(watch())
    try:
        yield task
    finally:
        task.cancel()
