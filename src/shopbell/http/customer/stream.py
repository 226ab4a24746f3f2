"""``GET /api/customer/stream``: a conversation as its customer sees it, live; bare ASGI.

The ids of its events are places in the thread: first load, live and reconnect are the same query with a cursor.
"""

import time
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import parse_qs

from sqlalchemy import Connection
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send

from shopbell import conversation, customer_sessions
from shopbell.conversation import Line, State
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import NotFound
from shopbell.http.addresses import base_url
from shopbell.http.api.waiting import TooManyWaiting
from shopbell.http.customer.access import NoSession, secret_of
from shopbell.http.customer.limits import TooFast, address_of
from shopbell.http.customer.shown import shown_line
from shopbell.http.live import sse
from shopbell.http.live.followers import STORE_SEEN_S, Follower
from shopbell.settings import Settings
from shopbell.wakes.signals import Signal

ROUTE = "/api/customer/stream"
STREAMS_PER_SESSION = 8
"""Streams of one session that may be open at once, per server process: tabs share one where they can."""
PAGE_LINES = 50
ADDRESS_RETRY_S = 20
"""When an address that has too many streams may try again."""
LOOK_S = 300
"""A stream that nothing happens to looks once in this time whether it missed something, and its session is good."""


class NoConversation(NotFound):
    """404: the session has no conversation yet."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = "This session has no conversation yet. Its first message begins one."
        self.args = (self.detail,)


class CustomerStream:
    """The streams of customers in one process."""

    def __init__(self, parts: sse.Parts) -> None:
        self._parts = parts
        self._of_session: Counter[Hashable] = Counter()
        self._of_thread: Counter[Hashable] = Counter()
        self._of_address: Counter[Hashable] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, more_headers: sse.Headers) -> None:
        """Answer a request with a stream.

        Raises:
            Problem: 401, 429, 404 when there is no conversation (yet); before anything was sent.
            StorageError: 503, likewise.
        """
        parts = self._parts
        session = await parts.sessions.session_of(scope)
        parts.limits.requests.take(session.id)
        asked = _asked_of(scope, parts.settings)
        async with parts.followers.turns:
            thread = await parts.database.read(find_thread, session, asked.wanted)
        if thread is None:
            raise no_thread(asked.wanted)
        with self._counted(address_of(HTTPConnection(scope)), session.id, thread.thread_id):
            whose = {"thread_id": thread.thread_id, "business_id": thread.business_id, "session_id": session.id}
            with parts.followers.follow(session.organization_id, **whose) as follower:
                place = _Place(parts, session, asked, thread, follower)
                place.show(online=True)
                try:
                    await sse.run(scope, receive, send, more_headers, parts.followers, follower, place.turn)
                finally:
                    if self._of_thread[thread.thread_id] == 1:
                        place.show(online=False)

    @contextmanager
    def _counted(self, address: str, session_id: int, thread_id: int) -> Iterator[None]:
        # One machine with many sessions would take all connections of the process.
        most = self._parts.limits.streams_of_address
        if self._of_address[address] >= most:
            raise TooFast("visitor", ADDRESS_RETRY_S, quota=most, window_s=ADDRESS_RETRY_S)
        if self._of_session[session_id] >= STREAMS_PER_SESSION:
            raise TooManyWaiting
        counts: tuple[tuple[Counter[Hashable], Hashable], ...] = (
            (self._of_address, address),
            (self._of_session, session_id),
            (self._of_thread, thread_id),
        )
        for count, key in counts:
            count[key] += 1
        try:
            yield
        finally:
            for count, key in counts:
                count[key] -= 1
                if not count[key]:
                    del count[key]


def find_thread(tx: Connection, session: CustomerSession, wanted: str = "") -> State | None:
    """The conversation that a session asks for.

    Args:
        tx: the transaction.
        session: who asks.
        wanted: its id as sent; empty for the only one, or the newest.

    Returns:
        None when there is none that the session may see.
    """
    ids = customer_sessions.threads_of(tx, session)
    if wanted:
        ids = [id_ for id_ in ids if str(id_) == wanted]
    return conversation.state(tx, session.organization_id, ids[-1]) if ids else None


def no_thread(wanted: str) -> NotFound:
    """The error where ``find_thread`` finds nothing.

    Args:
        wanted: the conversation's id as sent; empty where the request names none.
    """
    return NotFound("customerThreadId", "session") if wanted else NoConversation()


class _Asked(NamedTuple):
    """What is kept of a request.

    Args:
        wanted: the conversation's id as sent, or empty.
        after: the place of the last message that its client has.
        secret: the session's token.
        base: the address under which the client reached the server.
    """

    wanted: str
    after: int
    secret: str
    base: str


def _asked_of(scope: Scope, settings: Settings) -> _Asked:
    wanted = parse_qs(scope["query_string"].decode("latin-1")).get("customerThreadId", [""])[0]
    after, secret = sse.last_event_id(scope["headers"]) or 0, secret_of(scope) or ""
    return _Asked(wanted, after, secret, base_url(Request(scope), settings))


class _Place:
    """One stream's place in the conversation."""

    __slots__ = (
        "_asked",
        "_follower",
        "_is_ready",
        "_look_at_s",
        "_parts",
        "_sequence",
        "_session",
        "_state",
        "_store_until_s",
        "_survey_id",
    )

    def __init__(
        self, parts: sse.Parts, session: CustomerSession, asked: _Asked, state: State, follower: Follower
    ) -> None:
        self._parts = parts
        self._session = session
        self._asked = asked
        self._state = state
        self._follower = follower
        self._sequence = asked.after
        self._is_ready = False
        self._look_at_s = 0.0
        self._survey_id: int | None = None
        self._store_until_s = 0.0

    async def turn(self) -> tuple[bytes, bool]:
        """What is new, and whether more may come."""
        follower, content = self._follower, b""
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + LOOK_S
            follower.has_rows = True
            async with self._parts.followers.turns:
                await self._parts.sessions.session_by(self._asked.secret)  # its use puts its end off
        if follower.has_rows or follower.has_moved:
            content, goes_on = await self._news()
            if not goes_on:
                return content, False
        elif not self._session.is_valid(time.time_ns() // 1_000_000):
            return b"", False
        return content + self._signals(), True

    async def _news(self) -> tuple[bytes, bool]:
        follower = self._follower
        has_moved, follower.has_rows, follower.has_moved = follower.has_moved, False, False
        state, lines = await self._look(has_moved=has_moved)
        if state.thread_id != self._state.thread_id:
            return sse.event("resync", {}, 0), False
        content = bytearray()
        if self._sequence > state.last_sequence:  # of another conversation, or from before an older backup
            content += sse.event("resync", {}, 0)
            self._sequence, self._is_ready = 0, False
            follower.tell()
            return bytes(content), True
        for line in lines:
            content += sse.event("message", self._shown(line, state), line.sequence)
            self._sequence = line.sequence
            if len(content) >= sse.CONTENT_BYTES:
                break
        if lines and (len(lines) == PAGE_LINES or self._sequence < lines[-1].sequence):
            follower.tell()  # for the next piece
        else:
            content += self._changes(state)
        return bytes(content), True

    async def _look(self, *, has_moved: bool) -> tuple[State, list[Line]]:
        wanted = self._asked.wanted if has_moved else None
        async with self._parts.followers.turns:
            return await self._parts.database.read(
                _look, self._session, wanted, self._state.thread_id, self._sequence, now_ms=time.time_ns() // 1_000_000
            )

    def _shown(self, line: Line, state: State) -> dict[str, object]:
        return shown_line(line, state, self._asked.base, self._parts.links).model_dump(mode="json", by_alias=True)

    def _changes(self, state: State) -> bytes:
        before, self._state = self._state, state
        content = b""
        if not self._is_ready:
            self._is_ready = True
            content += sse.event("ready", _ready(state, self._sequence))
        elif before.status != state.status:
            content += sse.event("status", {"status": state.status})
            # What follows from it may come from a process that can wake nobody here.
            self._look_at_s = time.monotonic() + sse.HEARTBEAT_S
        if before.read_by_store_sequence < state.read_by_store_sequence:
            content += sse.event("read", {"by": "store", "sequence": state.read_by_store_sequence})
        if state.survey_id is not None and state.survey_id != self._survey_id:
            content += sse.event("survey", {"surveyId": str(state.survey_id), "kind": state.survey_kind})
        self._survey_id = state.survey_id
        return content

    def _signals(self) -> bytes:
        content, now_s = b"", time.monotonic()
        for signal in self._follower.take_signals():
            if signal.data.get("from") != "store":
                continue
            if signal.kind == "presence":
                was_online = now_s < self._store_until_s
                self._store_until_s = now_s + STORE_SEEN_S if signal.data.get("online") else 0.0
                if was_online != (now_s < self._store_until_s):
                    content += sse.event("presence", {"online": not was_online})
            elif signal.kind == "typing":
                content += sse.event("typing", {"from": "store", "employeeName": signal.data.get("employeeName")})
        if 0 < self._store_until_s <= now_s:
            self._store_until_s = 0.0
            content += sse.event("presence", {"online": False})
        return content

    def show(self, *, online: bool) -> None:
        """Show the store that the customer is there, or goes."""
        thread = self._state
        data = {"from": "customer", "online": online}
        signal = Signal(self._session.organization_id, thread.thread_id, thread.business_id, "presence", data)
        self._parts.wakes.signal(signal)


def _look(
    tx: Connection, session: CustomerSession, wanted: str | None, thread_id: int, after_sequence: int, *, now_ms: int
) -> tuple[State, list[Line]]:
    """Look, in the name of a session that must still be good, at its conversation.

    Args:
        tx: the transaction.
        session: as it was.
        wanted: which conversation it asked for, where that may be another one by now; else None.
        thread_id: which one it was.
        after_sequence: messages from the one after this on.
        now_ms: the time in Unix ms.

    Raises:
        NoSession: 401.
        NotFound: 404.
    """
    now = customer_sessions.find(tx, [session.token_hash])
    if now is None or not now.is_valid(now_ms):
        raise NoSession
    organization_id = session.organization_id
    found = conversation.state(tx, organization_id, thread_id) if wanted is None else find_thread(tx, now, wanted)
    if found is None:
        raise no_thread(wanted or "")
    if found.thread_id != thread_id:
        return found, []
    lines = conversation.lines(tx, organization_id, thread_id, after_sequence=after_sequence, limit=PAGE_LINES)
    return found, lines


def _ready(state: State, last_sequence: int) -> dict[str, object]:
    return {
        "customerThreadId": str(state.thread_id),
        "status": state.status,
        "lastSequence": last_sequence,  # the thread's own counts notes, too
        "readByStoreSequence": state.read_by_store_sequence,
        "readByCustomerSequence": state.read_by_customer_sequence,
    }
