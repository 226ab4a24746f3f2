"""Requests that wait for news (long polling): bounded in number, woken at once, holding no database connection."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive

from shopbell import feed
from shopbell.errors import Problem, QuotaExceeded
from shopbell.feed import Page
from shopbell.http.fresh import Fresh
from shopbell.storage.database import Database
from shopbell.tokens import Token
from shopbell.wakes.hub import Listener, Wakes

WAITING_PER_TOKEN = 16
"""Requests of one token that may wait at once, per server process."""


class TooManyWaiting(QuotaExceeded):
    """429: as many requests of this token wait already as may."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=1)
        self.developer_message = "Rate limit 'waiting requests' exceeded"


class Waiting:
    """The waiting requests of one process.

    Args:
        wakes: tells of news.
        database: where the feeds are.
        poll_interval_s: seconds after which a request looks for news that nobody told it of.
    """

    def __init__(self, wakes: Wakes, database: Database, poll_interval_s: float) -> None:
        self._wakes = wakes
        self._database = database
        self._poll_interval_s = poll_interval_s
        self._of_token: Counter[int] = Counter()
        self._positions: Fresh[int, int] = Fresh()

    async def page(
        self,
        token: Token,
        read: Callable[[int | None], Awaitable[Page]],
        after: int | None,
        receive: Receive,
        wait_s: float,
    ) -> Page:
        """A piece of the feed, as soon as there is something in it.

        It comes without anything in it when the time is over, when the server is about to stop, and when the client
        has gone.

        Args:
            token: whose request it is.
            read: reads the piece after a position.
            after: the position to go on from; None for the oldest event.
            receive: the ASGI callable of the request; tells when the client goes.
            wait_s: seconds to wait at most; 0 only looks.

        Raises:
            TooManyWaiting: 429.
            StorageError: 503.
        """
        if not wait_s:
            return await read(after)
        end_s = time.monotonic() + wait_s
        organization_id = token.organization_id
        with (
            self._place_of(token),
            self._wakes.listen(organization_id) as listener,
            _watched(receive, listener) as gone,
        ):
            page = await read(after)
            while not (page.events or page.has_more or page.truncated):
                left_s = end_s - time.monotonic()
                if left_s <= 0 or gone.done() or self._wakes.is_ending:
                    break
                woken = await listener.wait(min(self._poll_interval_s, left_s))
                if woken or await self._position(organization_id) != page.last_position:
                    page = await read(page.last_position)
            return page

    async def _position(self, organization_id: int) -> int:
        """The feed's last position: one look for all who wait, because most find nothing new."""
        look = feed.last_position
        return await self._positions.get(organization_id, lambda: self._database.read(look, organization_id))

    @contextmanager
    def _place_of(self, token: Token) -> Iterator[None]:
        if self._of_token[token.id] >= WAITING_PER_TOKEN:
            raise TooManyWaiting
        self._of_token[token.id] += 1
        try:
            yield
        finally:
            self._of_token[token.id] -= 1
            if not self._of_token[token.id]:
                del self._of_token[token.id]


@contextmanager
def _watched(receive: Receive, listener: Listener) -> Iterator["asyncio.Task[None]"]:
    """A task that is done when the client has gone; it wakes the listener then."""

    async def watch() -> None:
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except Problem:
            pass  # a body that nobody asked for did not arrive: no reason to refuse the answer
        finally:
            listener.wake()

    task = asyncio.create_task(watch())
    try:
        yield task
    finally:
        task.cancel()
