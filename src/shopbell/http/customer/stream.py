"""``GET /api/customer/stream``: a conversation as its customer sees it, live; bare ASGI.

The ids of its events are places in the thread: first load, live and reconnect are the same query with a cursor.
"""

import time
from collections import Counter
from urllib.parse import parse_qs

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from shopbell import conversation, customer_sessions
from shopbell.conversation import Line, State
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import NotFound
from shopbell.http.addresses import base_url
from shopbell.http.api.waiting import TooManyWaiting
from shopbell.http.customer.shown import shown_line
from shopbell.http.live import sse
from shopbell.http.live.followers import Follower
from shopbell.wakes.signals import Signal

ROUTE = "/api/customer/stream"
STREAMS_PER_SESSION = 8
"""Streams of one session that may be open at once, per server process: tabs share one where they can."""
PAGE_LINES = 100
STORE_SEEN_S = 45
"""For how long somebody of the store counts as there who has shown himself once."""


class CustomerStream:
    """The streams of customers in one process."""

    def __init__(self, parts: sse.Parts) -> None:
        self._parts = parts
        self._of_session: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, more_headers: sse.Headers) -> None:
        """Answer a request with a stream.

        Raises:
            Problem: 401, 404 when there is no conversation (yet), 429; before anything was sent.
            StorageError: 503, likewise.
        """
        parts = self._parts
        session = await parts.sessions.session_of(scope["headers"])
        wanted = parse_qs(scope["query_string"].decode("latin-1")).get("customerThreadId", [""])[0]
        thread = await parts.database.read(find_thread, session, wanted)
        if thread is None:
            raise NotFound
        if self._of_session[session.id] >= STREAMS_PER_SESSION:
            raise TooManyWaiting
        self._of_session[session.id] += 1
        organization_id, thread_id = session.organization_id, thread.thread_id
        try:
            with parts.followers.follow(
                organization_id, thread_id=thread_id, business_id=thread.business_id
            ) as follower:
                place = _Place(parts, session, wanted, thread, follower, scope)
                place.show(online=True)
                try:
                    await sse.run(receive, send, more_headers, parts.followers, follower, place.turn)
                finally:
                    place.show(online=False)
        finally:
            self._of_session[session.id] -= 1
            if not self._of_session[session.id]:
                del self._of_session[session.id]


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


class _Place:
    """One stream's place in the conversation."""

    __slots__ = (
        "_base",
        "_follower",
        "_headers",
        "_is_ready",
        "_parts",
        "_sequence",
        "_session",
        "_state",
        "_store_until_s",
        "_survey_id",
        "_wanted",
    )

    def __init__(
        self,
        parts: sse.Parts,
        session: CustomerSession,
        wanted: str,
        state: State,
        follower: Follower,
        scope: Scope,
    ) -> None:
        self._parts = parts
        self._session = session
        self._wanted = wanted
        self._state = state
        self._follower = follower
        self._headers = scope["headers"]
        self._base = base_url(Request(scope), parts.settings)
        self._sequence = sse.last_event_id(scope["headers"]) or 0
        self._is_ready = False
        self._survey_id: int | None = None
        self._store_until_s = 0.0

    async def turn(self) -> tuple[bytes, bool]:
        """What is new, and whether more may come."""
        await self._parts.sessions.session_of(self._headers)  # one that was ended since hears nothing more
        if self._follower.has_moved:
            self._follower.has_moved = False
            found = await self._parts.database.read(find_thread, self._session, self._wanted)
            if found is None or found.thread_id != self._state.thread_id:
                return sse.event("resync", {}, 0), False
        state, lines = await self._look()
        content = bytearray()
        if self._sequence > state.last_sequence:  # of another conversation, or from before an older backup
            content += sse.event("resync", {}, 0)
            self._sequence, self._is_ready = 0, False
            state, lines = await self._look()
        for line in lines:
            content += sse.event("message", self._shown(line, state), line.sequence)
            self._sequence = line.sequence
        if len(lines) == PAGE_LINES:
            self._follower.wake()  # for the next piece
        else:
            content += self._changes(state)
        content += self._signals()
        return bytes(content), True

    async def _look(self) -> tuple[State, list[Line]]:
        return await self._parts.database.read(
            _look, self._session.organization_id, self._state.thread_id, self._sequence
        )

    def _shown(self, line: Line, state: State) -> dict[str, object]:
        return shown_line(line, state, self._base, self._parts.links).model_dump(mode="json", by_alias=True)

    def _changes(self, state: State) -> bytes:
        before, self._state = self._state, state
        content = b""
        if not self._is_ready:
            self._is_ready = True
            content += sse.event("ready", _ready(state))
        elif before.status != state.status:
            content += sse.event("status", {"status": state.status})
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


def _look(tx: Connection, organization_id: int, thread_id: int, after_sequence: int) -> tuple[State, list[Line]]:
    found = conversation.state(tx, organization_id, thread_id)
    if found is None:
        raise NotFound
    lines = conversation.lines(tx, organization_id, thread_id, after_sequence=after_sequence, limit=PAGE_LINES)
    return found, lines


def _ready(state: State) -> dict[str, object]:
    return {
        "customerThreadId": str(state.thread_id),
        "status": state.status,
        "lastSequence": state.last_sequence,
        "readByStoreSequence": state.read_by_store_sequence,
        "readByCustomerSequence": state.read_by_customer_sequence,
    }
