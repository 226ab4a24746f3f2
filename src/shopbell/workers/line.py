"""The socket between a server and its worker process. Messages are lines of text.

======== ============ ==========================================================================
from     message      meaning
======== ============ ==========================================================================
worker   ``wait``     it waits: tell it when there is news
server   ``look``     there is news
worker   ``ids 1,2``  these organizations have news
worker   ``~[...]``   signals, as ``realtime/signals.py`` encodes them
worker   ``# {...}``  its metrics
worker   ``alive a``  every second: it works, but its task ``a`` has just died
server   ``end``      finish what has begun, and end
======== ============ ==========================================================================

A worker that does not wait costs the server nothing. The server sends one ``look`` per ``wait``, however much is
stored.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from typing import cast

from shopbell.realtime import signals
from shopbell.realtime.signals import Signal, SignalHandler

WAIT, LOOK, END = "wait", "look", "end"
IDS = "ids "
METRICS = "# "
ALIVE = "alive "
DEMO = "demo"
"""An argument of the worker process of the demo: the environment does not tell it."""

Heard = Callable[[Collection[int] | None], None]


class Line(asyncio.Protocol):
    """One end.

    Args:
        on_message: called with each line.
        on_lost: called once, when the other end is closed.
    """

    def __init__(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._unread = b""

    @classmethod
    async def open(cls, end: socket.socket, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> "Line":
        """Use this end of a pair of sockets."""
        _, line = await asyncio.get_running_loop().create_connection(lambda: cls(on_message, on_lost), sock=end)
        return line

    def send(self, message: str) -> None:
        """Send a line; it is lost if the other end is closed."""
        if not self._transport.is_closing():
            self._transport.write(message.encode() + b"\n")

    def close(self) -> None:
        """Close this end, after sending what is pending."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass whole lines on."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._on_message(line.decode())

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - either way it is closed
        """Report that the other end is closed."""
        self._on_lost()


class ServerLine:
    """The worker's end: a way to the other processes for ``PubSub``.

    Args:
        end: the socket.
        on_end: called when the server wants the worker to end.
        on_lost: called when the server has died.
    """

    def __init__(self, end: socket.socket, on_end: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self._end = end
        self._on_end = on_end
        self._on_lost = on_lost
        self._line: Line | None = None
        self._is_expecting = False
        self._is_closed = False

    async def start(self, heard: Heard, on_signal: SignalHandler) -> None:  # noqa: ARG002 - the server sends no signals
        """Listen to the server."""
        self._heard = heard
        self._line = await Line.open(self._end, self._receive, self._lose)

    def publish(self, organization_ids: Collection[int]) -> None:
        """Tell the server of news."""
        self.send(IDS + ",".join(map(str, organization_ids)))

    def signal(self, signal: Signal) -> None:
        """Pass a signal on to the server."""
        self.send(signals.join([signals.encode(signal)]))

    def expect(self) -> None:
        """Ask for the next news."""
        if not self._is_expecting:
            self._is_expecting = True
            self.send(WAIT)

    def send(self, message: str) -> None:
        """Send a line to the server."""
        if self._line is not None:
            self._line.send(message)

    async def close(self) -> None:
        """Close the line."""
        self._is_closed = True
        if self._line is not None:
            self._line.close()

    def _receive(self, message: str) -> None:
        if message == END:
            self._on_end()
        elif message == LOOK:
            self._is_expecting = False
            self._heard(None)

    def _lose(self) -> None:
        if not self._is_closed:
            self._on_lost()
