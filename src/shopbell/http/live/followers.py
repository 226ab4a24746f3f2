"""Who follows a conversation or an organization: one reader of its feed for all of them, however many there are.

A stream is told that there is something new, and reads it by its own cursor: what it has to remember of what it has not
sent yet is one bit, however slow its client.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import structlog

from shopbell import feed
from shopbell.errors import StorageError
from shopbell.feed import Event
from shopbell.storage.database import Database
from shopbell.supervision import supervise
from shopbell.wakes.hub import Listener, Wakes
from shopbell.wakes.signals import Signal

SIGNALS_MAX = 16
"""Signals that wait for a slow client; the oldest go first."""
RECENT_MAX = 512
"""Events in memory for those who follow a whole organization."""
RECENT_S = 10
"""For how long they are: they bear texts, and what retention deletes must be gone."""
STORE_SEEN_S = 45
"""For how long somebody of the store counts as there who has shown himself once."""

TURNS_AT_ONCE = 4
"""Streams that read at the same time: what tells all of them something at once must not keep other requests waiting
behind thousands of reads."""

_PAGE_EVENTS = 500
_PAUSE_AFTER_FAILURE_S = 0.5
# Signals of what is in rows, too.
_WRITTEN_DOWN = frozenset(("read", "survey"))
# After these a customer's conversation may be another one.
_MOVES_MESSAGES = frozenset(("customer-merged", "customer-merge-undone", "customer-erased"))

log = structlog.get_logger()


class Follower(Listener):
    """One stream that waits for news; made by :meth:`Followers.follow`.

    Attributes:
        thread_id: the only thread that it hears of; 0 for the whole organization.
        business_id: the only business whose signals to all it hears; 0 for all.
        session_id: the session of the customer who listens; 0 for programs.
        has_rows: whether there may be rows that it has not read.
        has_moved: whether its conversation may have become another one.
        has_ended: whether it must end, because its session has.
    """

    __slots__ = ("_signals", "business_id", "has_ended", "has_moved", "has_rows", "session_id", "thread_id")

    def __init__(self, thread_id: int, business_id: int, session_id: int) -> None:
        super().__init__()
        self.thread_id = thread_id
        self.business_id = business_id
        self.session_id = session_id
        self.has_rows = True
        self.has_moved = False
        self.has_ended = False
        self._signals: list[Signal] = []

    def tell(self) -> None:
        """There are new rows."""
        self.has_rows = True
        self.wake()

    def hear(self, signal: Signal) -> None:
        """Take a signal in, if it is for this stream."""
        if signal.kind == "ended":
            if self.session_id and signal.data.get("sessionId") == self.session_id:
                self.has_ended = True
                self.wake()
            return
        if self.thread_id:
            is_mine = signal.thread_id == self.thread_id or (
                not signal.thread_id and signal.business_id in (0, self.business_id)
            )
        elif signal.kind == "survey" or (signal.data.get("from") == "store" and signal.kind == "presence"):
            is_mine = False  # programs hear of answers; and such as these say themselves that the store is there
        else:
            is_mine = not self.business_id or signal.business_id in (0, self.business_id)
        if is_mine:
            self._signals = [*self._signals[1 - SIGNALS_MAX :], signal]
            self.has_rows |= signal.kind in _WRITTEN_DOWN
            self.wake()

    def take_signals(self) -> list[Signal]:
        """Those that have come since the last time."""
        taken, self._signals = self._signals, []
        return taken


class Followers:
    """All streams of a process.

    Args:
        wakes: tells of news.
        database: where the feeds are.
        poll_interval_s: seconds after which a feed is looked at that nobody told of.

    Attributes:
        turns: held by a stream while it reads.
    """

    def __init__(self, wakes: Wakes, database: Database, poll_interval_s: float) -> None:
        self._wakes = wakes
        self._database = database
        self._poll_interval_s = poll_interval_s
        self._readers: dict[int, _Reader] = {}
        self.turns = asyncio.Semaphore(TURNS_AT_ONCE)

    @property
    def is_ending(self) -> bool:
        """Whether the server is about to stop: streams end now, and their clients come again."""
        return self._wakes.is_ending

    @contextmanager
    def follow(
        self, organization_id: int, *, thread_id: int = 0, business_id: int = 0, session_id: int = 0
    ) -> Iterator[Follower]:
        """Follow a thread, or with none a whole organization, within a ``with`` block.

        Nothing that is committed after its beginning is missed; what was committed before is for the caller to read.
        """
        follower = Follower(thread_id, business_id, session_id)
        reader = self._readers.get(organization_id)
        if reader is None:
            reader = self._readers[organization_id] = _Reader(
                organization_id, self._wakes, self._database, self._poll_interval_s
            )
        reader.add(follower)
        try:
            yield follower
        finally:
            reader.remove(follower)
            if reader.is_idle:
                self._readers.pop(organization_id)
                reader.end()

    def recent(self, organization_id: int, after: int) -> list[Event] | None:
        """The events after a position, when all of them are in memory; None when they must be read."""
        reader = self._readers.get(organization_id)
        return None if reader is None else reader.recent_after(after)


class _Reader:
    """Reads the feed of one organization for all who follow it."""

    def __init__(self, organization_id: int, wakes: Wakes, database: Database, poll_interval_s: float) -> None:
        self._organization_id = organization_id
        self._wakes = wakes
        self._database = database
        self._poll_interval_s = poll_interval_s
        self._of_thread: dict[int, set[Follower]] = {}
        self._of_all: set[Follower] = set()
        self._position: int | None = None
        self._recent: deque[tuple[float, Event]] = deque(maxlen=RECENT_MAX)  # with when it was read
        self._store_there: dict[int, tuple[float, Signal]] = {}
        self._task = supervise("follow a feed", self._run)

    @property
    def is_idle(self) -> bool:
        return not self._of_thread and not self._of_all

    def add(self, follower: Follower) -> None:
        if follower.thread_id:
            self._of_thread.setdefault(follower.thread_id, set()).add(follower)
            for said_at_s, signal in self._store_there.values():
                if time.monotonic() < said_at_s + STORE_SEEN_S:
                    follower.hear(signal)
        else:
            self._of_all.add(follower)

    def remove(self, follower: Follower) -> None:
        if not follower.thread_id:
            self._of_all.discard(follower)
            return
        of_thread = self._of_thread[follower.thread_id]
        of_thread.discard(follower)
        if not of_thread:
            del self._of_thread[follower.thread_id]

    def end(self) -> None:
        self._task.cancel()

    def recent_after(self, after: int) -> list[Event] | None:
        if self._position is None or after > self._position:
            return None
        if after == self._position:
            return []
        self._let_go()
        if not self._recent or self._recent[0][1].position > after + 1:
            return None
        # From the end: who is live misses the last few of them.
        found: list[Event] = []
        for _, event in reversed(self._recent):
            if event.position <= after:
                break
            found.append(event)
        return found[::-1]

    async def _run(self) -> None:
        with (
            self._wakes.listen(self._organization_id) as listener,
            self._wakes.hear(self._organization_id, self._hear),
        ):
            is_news = False
            while True:
                self._let_go()
                try:
                    await self._read(is_news=is_news)
                except StorageError:
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                    continue
                except Exception as error:  # a bug in one turn must not be the end of all streams
                    log.error("bug", job="follow", exc_info=error)
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                    continue
                if self._wakes.is_ending:
                    self._tell_all()
                    return
                is_news = await listener.wait(self._poll_interval_s)

    def _let_go(self) -> None:
        """Forget what has been in memory for long enough."""
        read_until_s = time.monotonic() - RECENT_S
        while self._recent and self._recent[0][0] < read_until_s:
            self._recent.popleft()

    async def _read(self, *, is_news: bool) -> None:
        if not is_news or self._position is None:
            newest = await self._database.read(feed.last_position, self._organization_id)
            if self._position is None:
                self._position = newest
                # Who followed from the beginning may have read before this position was known.
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
            self._recent.append((time.monotonic(), event))
            for follower in self._of_all:
                follower.tell()
        else:
            self._recent.clear()  # nobody reads from it; what is in it must have no gap
        if event.type == "customer-erased":
            self._recent.clear()  # texts of this customer
        if event.type in _MOVES_MESSAGES:
            for follower in self._of_threads():
                follower.has_moved = True
                follower.tell()
        elif event.thread_id is not None:
            for follower in self._of_thread.get(event.thread_id, ()):
                follower.tell()

    def _hear(self, signal: Signal) -> None:
        if signal.kind == "presence" and signal.data.get("from") == "store":
            self._store_there[signal.business_id] = (time.monotonic(), signal)  # for who comes before it is said again
        for follower in self._of_all:
            follower.hear(signal)
        whose = self._of_thread.get(signal.thread_id, ()) if signal.thread_id else self._of_threads()
        for follower in whose:
            follower.hear(signal)

    def _tell_all(self) -> None:
        for follower in (*self._of_all, *self._of_threads()):
            follower.tell()

    def _of_threads(self) -> Iterator[Follower]:
        return chain.from_iterable(self._of_thread.values())
