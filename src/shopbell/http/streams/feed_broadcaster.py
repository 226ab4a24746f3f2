"""Tell all streams of an organization about new events, with one reader of its feed.

A stream is only told that there are new rows, and reads them with its own cursor (``http/streams/stream.py``).
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from itertools import chain

import structlog

from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.events import feed
from shopbell.events.feed import Event
from shopbell.http.streams.heartbeats import Heartbeats
from shopbell.http.streams.stream import Encoded, Stream
from shopbell.realtime.hub import PubSub
from shopbell.realtime.signals import EMPLOYEES_ONLY, Signal
from shopbell.runtime.supervision import supervise

RECENT_MAX = 512
"""The most recent events in memory, for streams of a whole organization."""
RECENT_S = 10
"""Seconds for which events stay in memory. They contain texts, which retention may delete."""
STORE_SEEN_S = 45
"""Seconds for which the business counts as online after one presence signal."""

_PAGE_EVENTS = 500
_PAUSE_AFTER_FAILURE_S = 0.5
# After these events, a customer may have another conversation.
_MOVES_MESSAGES = frozenset(("customer-merged", "customer-merge-undone", "customer-erased"))

log = structlog.get_logger()


class FeedBroadcaster:
    """Tells the streams of a process about new events, and gives them heartbeats.

    Args:
        pubsub: notifies of new events.
        database: the database with the feeds.
        poll_interval_s: seconds after which a feed is read anyway, because a wake-up may be lost.
    """

    def __init__(self, pubsub: PubSub, database: Database, poll_interval_s: float) -> None:
        self._pubsub = pubsub
        self._database = database
        self._poll_interval_s = poll_interval_s
        self._readers: dict[int, _Reader] = {}
        self._heartbeats = Heartbeats()

    def subscribe(self, stream: Stream) -> None:
        """Begin to notify a stream.

        It is notified of each event that is committed from now on, and reads the earlier ones.
        """
        reader = self._readers.get(stream.organization_id)
        if reader is None:
            reader = self._readers[stream.organization_id] = _Reader(
                stream.organization_id, self._pubsub, self._database, self._poll_interval_s
            )
        reader.add(stream)
        self._heartbeats.add(stream)

    def unsubscribe(self, stream: Stream) -> None:
        """Stop notifying a stream that has subscribed."""
        self._heartbeats.remove(stream)
        reader = self._readers[stream.organization_id]
        reader.remove(stream)
        if reader.is_idle:
            del self._readers[stream.organization_id]
            reader.end()

    def recent(self, organization_id: int, after: int) -> list[Encoded[Event]] | None:
        """Return the events after a position if all of them are in memory; None if they must be read."""
        reader = self._readers.get(organization_id)
        return None if reader is None else reader.recent_after(after)

    def is_listening(self, organization_id: int, thread_id: int) -> bool:
        """Whether a thread has an open stream in this process."""
        reader = self._readers.get(organization_id)
        return reader is not None and reader.is_listening(thread_id)

    def is_store_online(self, organization_id: int, business_id: int) -> bool:
        """Whether customers of a business see it as online."""
        reader = self._readers.get(organization_id)
        return reader is not None and reader.is_store_online(business_id)


class _Reader:
    """Reads the feed of one organization for all its subscribers."""

    def __init__(self, organization_id: int, pubsub: PubSub, database: Database, poll_interval_s: float) -> None:
        self._organization_id = organization_id
        self._pubsub = pubsub
        self._database = database
        self._poll_interval_s = poll_interval_s
        self._of_thread: dict[int, tuple[Stream, ...]] = {}  # nearly all have one: a set is four times as large
        self._of_all: set[Stream] = set()
        self._position: int | None = None
        self._recent: deque[tuple[float, Encoded[Event]]] = deque(maxlen=RECENT_MAX)  # with the time of reading
        self._store_until_s: dict[int, float] = {}
        self._task = supervise("read the feed for streams", self._run)

    @property
    def is_idle(self) -> bool:
        return not self._of_thread and not self._of_all

    def add(self, stream: Stream) -> None:
        if stream.thread_id:
            self._of_thread[stream.thread_id] = (*self._of_thread.get(stream.thread_id, ()), stream)
        else:
            self._of_all.add(stream)

    def remove(self, stream: Stream) -> None:
        if not stream.thread_id:
            self._of_all.discard(stream)
            return
        rest = tuple(other for other in self._of_thread[stream.thread_id] if other is not stream)
        if rest:
            self._of_thread[stream.thread_id] = rest
        else:
            del self._of_thread[stream.thread_id]

    def is_listening(self, thread_id: int) -> bool:
        return thread_id in self._of_thread

    def is_store_online(self, business_id: int) -> bool:
        until_s = self._store_until_s
        return time.monotonic() < until_s.get(business_id, until_s.get(0, 0.0))

    def end(self) -> None:
        self._task.cancel()

    def recent_after(self, after: int) -> list[Encoded[Event]] | None:
        if self._position is None or after > self._position:
            return None
        if after == self._position:
            return []
        self._drop_old()
        if not self._recent or self._recent[0][1].value.position > after + 1:
            return None
        # From the end: a live stream lacks only the last few.
        found: list[Encoded[Event]] = []
        for _, event in reversed(self._recent):
            if event.value.position <= after:
                break
            found.append(event)
        return found[::-1]

    async def _run(self) -> None:
        with (
            self._pubsub.listen(self._organization_id) as listener,
            self._pubsub.subscribe_to_signals(self._organization_id, self._hear),
        ):
            is_woken = False
            while True:
                self._drop_old()
                try:
                    await self._read(is_woken=is_woken)
                except StorageError:
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                    continue
                except Exception as error:  # a bug in one turn must not end all streams
                    log.error("bug", job="read the feed for streams", exc_info=error)
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                    continue
                if self._pubsub.is_ending:
                    for stream in self._all():
                        stream.end()
                    return
                is_woken = await listener.wait(self._poll_interval_s)

    def _drop_old(self) -> None:
        """Drop events that have been in memory long enough."""
        read_until_s = time.monotonic() - RECENT_S
        while self._recent and self._recent[0][0] < read_until_s:
            self._recent.popleft()

    async def _read(self, *, is_woken: bool) -> None:
        if not is_woken or self._position is None:
            newest = await self._database.read(feed.last_position, self._organization_id)
            if self._position is None:
                self._position = newest
                # A first subscriber may have read before this position was known.
                self._tell_all()
            if self._position == newest:
                return
        has_more = True
        while has_more:
            page = await self._database.read(feed.read, self._organization_id, self._position, limit=_PAGE_EVENTS)
            self._position, has_more = page.last_position, page.has_more
            for event in page.events:
                self._tell(event)
            if page.truncated:
                self._recent.clear()
                self._tell_all()

    def _tell(self, event: Event) -> None:
        if self._of_all:
            self._recent.append((time.monotonic(), Encoded(event)))
        else:
            self._recent.clear()  # not needed now, and it must have no gaps
        if event.type == "customer-erased":
            self._recent.clear()  # it may have texts of this customer
        has_moved = event.type in _MOVES_MESSAGES
        for stream in self._all() if has_moved else self._those_of(event.thread_id):
            stream.tell(has_moved=has_moved)

    def _hear(self, signal: Signal) -> None:
        if signal.kind == "presence" and signal.data.get("from") == "store":
            self._see_store(signal.business_id, is_online=bool(signal.data.get("online")))
            return  # programs send these signals themselves
        heard = Encoded(signal)
        if signal.kind in EMPLOYEES_ONLY:
            hearing: Iterable[Stream] = tuple(self._of_all)
        else:
            hearing = self._those_of(signal.thread_id) if signal.thread_id else self._all()
        for stream in hearing:
            stream.hear(heard)

    def _see_store(self, business_id: int, *, is_online: bool) -> None:
        """Note that a business is online for a while, or offline.

        0 stands for all businesses.
        """
        until_s = self._store_until_s
        is_known = self.is_store_online(business_id) == is_online and (business_id or until_s.keys() <= {0})
        if not business_id:
            until_s.clear()
        until_s[business_id] = time.monotonic() + STORE_SEEN_S if is_online else 0.0
        if not is_known:  # otherwise each repetition would look at thousands of streams
            for stream in self._all():
                if business_id in (0, stream.business_id):
                    stream.see_store(is_online=is_online)

    def _tell_all(self) -> None:
        for stream in self._all():
            stream.tell()

    def _those_of(self, thread_id: int | None) -> tuple[Stream, ...]:
        """The streams of a thread and of the whole organization."""
        return (*self._of_all, *self._of_thread.get(thread_id or 0, ()))

    def _all(self) -> tuple[Stream, ...]:
        """A copy of all streams: a stream may end when it is notified."""
        return (*self._of_all, *chain.from_iterable(self._of_thread.values()))
