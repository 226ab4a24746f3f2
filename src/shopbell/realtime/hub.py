"""Publish and subscribe within a process, and through a relay between processes.

A notification says that an organization has new events, not which: subscribers then read the database. Notifications
from other processes can be lost with a connection, so subscribers also poll (``SHOPBELL_POLL_INTERVAL_S``).
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from shopbell.realtime.relay import Relay
from shopbell.realtime.signals import Signal, SignalHandler
from shopbell.settings.settings import Settings


class Listener:
    """A subscription of one task; created by :meth:`PubSub.listen`."""

    # A process has thousands of listeners: an asyncio.Event with a timeout each would take three times the memory.
    __slots__ = ("_has_news", "_waiter")

    def __init__(self) -> None:
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the current wait, or the next one if none is active."""
        self._has_news = True
        _end(self._waiter)

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a notification.

        Args:
            timeout_s: maximum wait; 0 returns at once.

        Returns:
            Whether there was one since the listener was created or since the last wait that returned True.
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


class Way(Protocol):
    """A connection to other processes.

    A ``Relay``, or the line between a server and its worker process.
    """

    async def start(self, heard: Callable[[Collection[int] | None], None], on_signal: SignalHandler) -> None: ...
    def publish(self, organization_ids: Collection[int]) -> None: ...
    def signal(self, signal: Signal) -> None: ...
    def expect(self) -> None: ...
    async def close(self) -> None: ...


class PubSub:
    """The hub of one process. Call its methods from the event loop.

    Args:
        ways: connections to other processes; those that are None are left out.
    """

    def __init__(self, *ways: Way | None) -> None:
        self._ways = tuple(way for way in ways if way is not None)
        self._of_all: set[Listener] = set()
        self._of_one: dict[int, set[Listener]] = {}
        self._signal_handlers: dict[int, set[SignalHandler]] = {}
        self._handlers_of_all: list[SignalHandler] = []
        self.is_ending = False

    async def start(self) -> None:
        """Connect to the other processes; if that fails, log it and continue."""
        for way in self._ways:
            await way.start(self._wake, self._deliver_signal)

    async def close(self) -> None:
        """Disconnect from the other processes, after sending pending notifications if possible."""
        for way in self._ways:
            await way.close()

    def end_waits(self) -> None:
        """Set ``is_ending`` and notify all listeners, because the server stops."""
        self.is_ending = True
        self._wake(None)

    def publish(self, organization_ids: Iterable[int]) -> None:
        """Notify the listeners of these organizations in all processes; call after the commit."""
        ids = frozenset(organization_ids)
        if not ids:
            return
        self._wake(ids)
        for way in self._ways:
            way.publish(ids)

    def expect(self) -> None:
        """Ask for the next notification.

        Some processes send one only when they are asked.
        """
        for way in self._ways:
            way.expect()

    def signal(self, signal: Signal) -> None:
        """Send a signal to its subscribers in all processes; never fails."""
        self._deliver_signal(signal)
        for way in self._ways:
            way.signal(signal)

    def hear_signals(self, on_signal: SignalHandler) -> None:
        """Pass the signals of all organizations to a listener until the process ends.

        The listener must not fail.
        """
        self._handlers_of_all.append(on_signal)

    @contextmanager
    def subscribe_to_signals(self, organization_id: int, on_signal: SignalHandler) -> Iterator[None]:
        """Subscribe to the signals of an organization within a ``with`` block.

        Args:
            on_signal: called with each signal; must not fail.
        """
        handlers = self._signal_handlers.setdefault(organization_id, set())
        handlers.add(on_signal)
        try:
            yield
        finally:
            handlers.discard(on_signal)
            if not handlers:
                self._signal_handlers.pop(organization_id, None)

    @contextmanager
    def listen(self, organization_id: int | None = None) -> Iterator[Listener]:
        """Subscribe within a ``with`` block; no notification after its start is missed.

        Args:
            organization_id: the organization; None for all.

        Returns:
            A listener for one task.
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

    def _deliver_signal(self, signal: Signal) -> None:
        for on_signal in (*self._handlers_of_all, *self._signal_handlers.get(signal.organization_id, ())):
            on_signal(signal)

    def _wake(self, organization_ids: Collection[int] | None) -> None:
        """Notify the listeners of these organizations; None notifies all."""
        for listener in self._of_all:
            listener.wake()
        if not self._of_one:
            return
        for organization_id in self._of_one if organization_ids is None else organization_ids:
            for listener in self._of_one.get(organization_id, ()):
                listener.wake()


def create_relay(settings: Settings, conninfo: str | None) -> Relay | None:
    """Create the relay that the settings configure.

    Args:
        conninfo: ``Database.conninfo``.

    Returns:
        NATS if its URL is set, otherwise ``NOTIFY`` with PostgreSQL. None with SQLite, where other processes poll.

    Raises:
        SettingsError: the URL of NATS is invalid.
    """
    if settings.nats_url is not None:
        from shopbell.realtime.nats import nats_relay  # the import takes 0.1 s and few installations need it

        return nats_relay(settings.nats_url.get_secret_value())
    if conninfo is not None:
        from shopbell.realtime.notify import notify_relay

        return notify_relay(conninfo)
    return None
