"""The hub of one process: who waits for news of an organization is woken, and then reads the database.

It remembers that something happened, never what: truth is in the rows. A wake-up from another process may be lost with
a connection, so whoever waits looks by itself now and then, too (``SHOPBELL_POLL_INTERVAL_S``).
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from shopbell.settings import Settings
from shopbell.wakes.relay import Relay
from shopbell.wakes.signals import Hear, Signal


class Listener:
    """One task that waits for news; made by :meth:`Wakes.listen`."""

    # A process holds thousands of them: an asyncio.Event and a timeout of its own would take three times as much.
    __slots__ = ("_has_news", "_waiter")

    def __init__(self) -> None:
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the wait that is under way, or else the next one."""
        self._has_news = True
        _end(self._waiter)

    async def wait(self, timeout_s: float) -> bool:
        """Wait for an announcement.

        Args:
            timeout_s: seconds to wait at most; 0 only asks.

        Returns:
            Whether there was one since the listener was made or since the last wait that returned True.
        """
        if not self._has_news and timeout_s > 0:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(timeout_s, _end, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        has_news, self._has_news = self._has_news, False
        return has_news


def _end(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Wakes:
    """The hub of one process. Its methods are called from the event loop.

    Args:
        relay: carries announcements to other processes and theirs here; None where there are no others.
    """

    def __init__(self, relay: Relay | None = None) -> None:
        self._relay = relay
        self._of_all: set[Listener] = set()
        self._of_one: dict[int, set[Listener]] = {}
        self._hearers: dict[int, set[Hear]] = {}
        self.is_ending = False

    async def start(self) -> None:
        """Begin to hear the other processes; when they are not to be reached, that is a line in the log."""
        if self._relay is not None:
            await self._relay.start(self._wake, self._pass_on)

    async def close(self) -> None:
        """Stop hearing the other processes; what was announced before is still told to them, if that is possible."""
        if self._relay is not None:
            await self._relay.close()

    def end_waits(self) -> None:
        """Wake everybody: the server is about to stop (``is_ending``), and requests must not wait any longer."""
        self.is_ending = True
        self._wake(None)

    def announce(self, organization_ids: Iterable[int]) -> None:
        """Wake who listens to these organizations, here and in the other processes; called after the commit.

        Args:
            organization_ids: the organizations of which events were committed.
        """
        ids = frozenset(organization_ids)
        if not ids:
            return
        self._wake(ids)
        if self._relay is not None:
            self._relay.announce(ids)

    def signal(self, signal: Signal) -> None:
        """Tell who follows an organization's signals, here and in the other processes; never fails."""
        self._pass_on(signal)
        if self._relay is not None:
            self._relay.signal(signal)

    @contextmanager
    def hear(self, organization_id: int, hear: Hear) -> Iterator[None]:
        """Hear the signals of an organization within a ``with`` block.

        Args:
            organization_id: whose.
            hear: called with each; must not fail.
        """
        hearers = self._hearers.setdefault(organization_id, set())
        hearers.add(hear)
        try:
            yield
        finally:
            hearers.discard(hear)
            if not hearers:
                self._hearers.pop(organization_id, None)

    @contextmanager
    def listen(self, organization_id: int | None = None) -> Iterator[Listener]:
        """Listen within a ``with`` block: nothing that is announced after its beginning is missed.

        Args:
            organization_id: the organization to listen to; None for any.

        Returns:
            What to wait by; for one task.
        """
        listener = Listener()
        if organization_id is None:
            self._of_all.add(listener)
            try:
                yield listener
            finally:
                self._of_all.discard(listener)
            return
        self._of_one.setdefault(organization_id, set()).add(listener)
        try:
            yield listener
        finally:
            of_this = self._of_one[organization_id]
            of_this.discard(listener)
            if not of_this:
                del self._of_one[organization_id]

    def _pass_on(self, signal: Signal) -> None:
        for hear in tuple(self._hearers.get(signal.organization_id, ())):
            hear(signal)

    def _wake(self, organization_ids: Collection[int] | None) -> None:
        """Wake who listens to these organizations; with None everybody."""
        for listener in self._of_all:
            listener.wake()
        if not self._of_one:
            return
        for organization_id in self._of_one if organization_ids is None else organization_ids:
            for listener in self._of_one.get(organization_id, ()):
                listener.wake()


def relay_of(settings: Settings, conninfo: str | None) -> Relay | None:
    """The relay that the settings ask for.

    Args:
        settings: those of this process.
        conninfo: how libpq reaches the database (``PostgresDatabase.conninfo``); None with SQLite.

    Returns:
        NATS where its address is set, else ``NOTIFY`` with PostgreSQL; None with SQLite, whose other processes poll.

    Raises:
        SettingsError: the address of NATS is none.
    """
    if settings.nats_url is not None:
        from shopbell.wakes.nats import nats_relay  # takes a tenth of a second, and few use it

        return nats_relay(settings.nats_url.get_secret_value())
    if conninfo is not None:
        from shopbell.wakes.notify import notify_relay

        return notify_relay(conninfo)
    return None
