"""A response that stays open after its request is forgotten.

A stream of events is one. A route sends the ASGI message ``DETACH`` in place of ``http.response.start``. The server
then writes the head, gives the connection to the route's ``Handler``, and releases the parser, the headers, the scope
and the task of the request. Thousands of open responses thus take little memory.
"""

import asyncio
from typing import Any, Protocol

from shopbell.http.server.unread import NEVER, ReadDeadline

DETACH = "shopbell.http.response.detach"
"""The type of the message. It has the keys ``status``, ``headers`` and ``handler``."""

UNEXPECTED_BYTES = 65_536
"""How much a client may send after its request. It is discarded."""
LAST_S = 2.0
"""Seconds that a client has at shutdown to read the end of its response."""


class Handler(Protocol):
    """The application's part of a detached response.

    The server calls each method in the event loop.
    """

    def opened(self, connection: "Detached") -> None:
        """Take the connection, after the head of the response was written."""

    def writable(self) -> None:
        """Continue: the client has read most of what was written."""

    def closed(self) -> None:
        """Release everything: the connection has closed. Called once."""


class Connections(Protocol):
    """The part of ``connection.Connections`` that a detached connection needs."""

    connections: set[Any]
    watched: set[Any]


class Detached(ReadDeadline, asyncio.Protocol):
    """The connection of an open response. Its last response is this one.

    Args:
        transport: the transport of the connection.
        connections: the state that all connections share.
        handler: the application's part.
        is_chunked: whether the response is in chunks; otherwise the end of the connection ends it (HTTP/1.0).
        is_writable: whether the client keeps up. Otherwise the handler should wait for ``writable``: what is written
            stays in memory.
    """

    __slots__ = (
        "_connections",
        "_handler",
        "_has_ended",
        "_is_chunked",
        "_unexpected_bytes",
        "is_writable",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        connections: Connections,
        handler: Handler,
        *,
        is_chunked: bool,
        is_writable: bool,
    ) -> None:
        self.transport = transport
        self.stalled_until_s = NEVER
        self.unread_bytes = 0
        self.is_writable = is_writable
        self._connections = connections
        self._handler = handler
        self._is_chunked = is_chunked
        self._has_ended = False
        self._unexpected_bytes = 0
        connections.connections.add(self)
        transport.set_protocol(self)
        handler.opened(self)

    def write(self, content: bytes) -> None:
        """Send a part of the body; nothing after the end."""
        if content and not self._has_ended:
            self._connections.watched.add(self)
            self.transport.write(b"%x\r\n%b\r\n" % (len(content), content) if self._is_chunked else content)

    def end(self) -> None:
        """End the response, and close the connection when the client has read it."""
        if not self._has_ended:
            self._has_ended = True
            self._connections.watched.add(self)
            if self._is_chunked:
                self.transport.write(b"0\r\n\r\n")
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Discard: the head said that this response is the last one."""
        self._unexpected_bytes += len(data)
        if self._unexpected_bytes > UNEXPECTED_BYTES:
            self.transport.abort()

    def eof_received(self) -> bool:
        """End the response: the client has closed its side."""
        self.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        """Tell the handler."""
        self._has_ended = True
        self._connections.connections.discard(self)
        self._connections.watched.discard(self)
        self._handler.closed()

    def pause_writing(self) -> None:
        """Note that the client does not keep up."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Note that the client keeps up again."""
        self.is_writable = True
        self.stalled_until_s = NEVER
        if not self._has_ended:
            self._handler.writable()

    def check(self, now_s: float) -> None:
        """Cut off a client that has stopped reading.

        A client that has read everything is not watched until more is written.

        Args:
            now_s: the time of the loop, in seconds.
        """
        if self.is_stalled(now_s):
            self.transport.abort()
        elif self.stalled_until_s == NEVER:
            self._connections.watched.discard(self)

    def cut_off(self) -> None:
        """Do nothing: ``shutdown`` has ended the response before."""

    def shutdown(self) -> None:
        """End the response. The client has ``LAST_S`` to read it."""
        self.end()
        self.unread_bytes = 0
        self.stalled_until_s = asyncio.get_running_loop().time() + LAST_S
