"""One open stream.

Thousands of streams are open at the same time, so each is one small object without a task.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import structlog
from prometheus_client import Gauge

from shopbell.errors import RequestError, StorageError
from shopbell.http.server.detached import Detached
from shopbell.realtime.signals import Signal

RETRY_MS = 2_000
_BEGIN = b"retry: %d\n\n" % RETRY_MS
_BEAT = b":\n\n"
POSTS_MAX = 16
"""The most signals that wait for a slow client. The oldest are dropped first."""

OPEN = Gauge("shopbell_open_streams", "Open streams.", multiprocess_mode="livesum")

log = structlog.get_logger()

T = TypeVar("T")
Key = TypeVar("Key", bound=Hashable)

Turn = tuple[bytes, bool]
"""What a stream sends now, and whether it continues."""
_NOTHING: Turn = b"", True


class Encoded(Generic[T]):
    """A value and its bytes, which are made once for all streams that send them in the same form."""

    __slots__ = ("_content", "_encode", "value")

    def __init__(self, value: T) -> None:
        self.value = value
        self._encode: Callable[[T], bytes] | None = None
        self._content = b""

    def content(self, encode: Callable[[T], bytes]) -> bytes:
        """Return the bytes. The last form is kept: streams of one kind follow each other."""
        if self._encode is not encode:
            self._content, self._encode = encode(self.value), encode
        return self._content


class Counts(Generic[Key]):
    """How many streams each key has."""

    def __init__(self) -> None:
        self._count: Counter[Key] = Counter()

    def of(self, key: Key) -> int:
        """Return the number of open streams."""
        return self._count[key]

    def add(self, key: Key) -> None:
        """Count a stream that begins."""
        self._count[key] += 1

    def remove(self, key: Key) -> None:
        """Count a stream that ends."""
        self._count[key] -= 1
        if not self._count[key]:
            del self._count[key]


class Stream(ABC):
    """A stream, from the moment at which it subscribes.

    It remembers only that there is news, and reads it once its client has taken the previous data. The server calls
    ``opened``, ``writable`` and ``closed`` (``http/server/detached.py``), the broadcaster calls ``tell``, ``hear``,
    ``beat`` and ``end``.

    Args:
        organization_id: its organization.
        thread_id: its thread; 0 for the whole organization.
        business_id: the business whose signals it receives; 0 for all.
        on_end: called once, when the stream has ended.

    Attributes:
        has_rows: whether there may be unread rows.
        beat_at: its place among the heartbeats; belongs to the broadcaster.
    """

    __slots__ = (
        "_connection",
        "_first",
        "_is_over",
        "_is_turning",
        "_on_end",
        "_posts",
        "beat_at",
        "business_id",
        "has_rows",
        "organization_id",
        "thread_id",
    )

    def __init__(self, organization_id: int, thread_id: int, business_id: int, on_end: Callable[[], None]) -> None:
        self.organization_id = organization_id
        self.thread_id = thread_id
        self.business_id = business_id
        self.has_rows = True
        self.beat_at = 0
        self._on_end = on_end
        self._connection: Detached | None = None
        self._first: Turn = _NOTHING
        self._posts: tuple[bytes, ...] = ()
        self._is_turning = True
        self._is_over = False

    @abstractmethod
    async def first_turn(self) -> Turn:
        """Return how the stream begins.

        Raises:
            RequestError: becomes the response.
            StorageError: becomes the response (503).
        """

    @abstractmethod
    def start_turn(self) -> None:
        """Begin to find out what is new; ``turned`` or ``failed`` takes the result."""

    @abstractmethod
    def hear(self, signal: "Encoded[Signal]") -> None:
        """Take a signal of the organization, which may be for other streams."""

    @abstractmethod
    def see_store(self, *, is_online: bool) -> None:
        """Note whether the business is online, as customers see it."""

    @abstractmethod
    def leave(self) -> None:
        """Unsubscribe; called once."""

    def expect(self, first: Turn) -> None:
        """Set what to send when the connection is there."""
        self._first = first

    def opened(self, connection: Detached) -> None:
        """Send how the stream begins."""
        if self._is_over:  # it ended while it was being opened
            connection.end()
            self._on_end()
            return
        self._connection = connection
        (content, goes_on), self._first = self._first, _NOTHING
        OPEN.inc()
        self.turned((_BEGIN + content, goes_on))

    def writable(self) -> None:
        """Continue, because the client has taken the previous data."""
        self.wake()

    def closed(self) -> None:
        """Release everything, because the client has gone, or the request failed."""
        connection, self._connection = self._connection, None
        if not self._is_over:
            self._is_over = True
            self.leave()
            if connection is not None:
                OPEN.dec()
                self._on_end()

    def end(self) -> None:
        """End the stream. The client connects again."""
        connection = self._connection
        self.closed()
        if connection is not None:
            connection.end()

    def tell(self, *, has_moved: bool = False) -> None:  # noqa: ARG002 - only customers have one conversation
        """Note that there are new rows.

        Args:
            has_moved: whether customers may have another conversation now.
        """
        self.has_rows = True
        self.wake()

    def post(self, content: bytes) -> None:
        """Send an event that is not stored.

        It waits until the client keeps up and no turn is running.
        """
        self._posts = (*self._posts[1 - POSTS_MAX :], content)
        self.wake()

    def wake(self) -> None:
        """Begin a turn if there is news, and if the client keeps up."""
        connection = self._connection
        if connection is None or self._is_turning or not connection.is_writable:
            return
        if self.has_news():
            self._is_turning = True
            self.start_turn()
        else:
            self._send(b"")

    def has_news(self) -> bool:
        """Whether a turn may find something."""
        return self.has_rows

    def turned(self, turn: Turn) -> None:
        """Send what a turn has found, and what was posted during it."""
        self._is_turning = False
        content, goes_on = turn
        self._send(content)
        if goes_on:
            self.wake()
        else:
            self.end()

    def _send(self, content: bytes) -> None:
        posts, self._posts = self._posts, ()
        if self._connection is not None:
            self._connection.write(b"".join((content, *posts)))

    def failed(self, error: Exception) -> None:
        """End the stream, because a turn failed.

        The client learns why when it connects again.
        """
        if not isinstance(error, RequestError | StorageError):
            log.error("bug", job="read for a stream", exc_info=error)
        self.end()

    def beat(self) -> None:
        """Send a heartbeat, so that no proxy closes the connection."""
        if self._connection is not None and self._connection.is_writable:
            self._connection.write(self.heartbeat())

    def heartbeat(self) -> bytes:
        """Return what a heartbeat is: a comment, which clients ignore."""
        return _BEAT
