"""``GET /api/customer/stream``: the live stream of a customer's conversation.

The ids of events are positions in the thread: first load, live events and reconnects are one query with a cursor.
"""

import asyncio
import sys
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send

from shopbell.conversations.customer_view import Line, State
from shopbell.customers.sessions import CustomerSession
from shopbell.db.batched_reads import BatchedReads
from shopbell.errors import Quota, QuotaExceeded
from shopbell.http.customer.current_thread import no_thread
from shopbell.http.customer.message_out import message_out
from shopbell.http.request.base_url import base_url
from shopbell.http.request.long_polling import TooManyLongPolls
from shopbell.http.request.visitor_limits import address_of
from shopbell.http.streams import customer_look, sse
from shopbell.http.streams.customer_look import PAGE_LINES, Found, Look, Wanted
from shopbell.http.streams.heartbeats import HEARTBEAT_S
from shopbell.http.streams.stream import Counts, Encoded, Stream, Turn
from shopbell.realtime.signals import Signal
from shopbell.runtime import clock

ROUTE = "/api/customer/stream"
STREAMS_PER_SESSION = 8
"""The most open streams of one session, per server process. Tabs share a stream if possible."""
ADDRESS_RETRY_S = 20
"""Seconds after which an address with too many streams may try again."""
LOOK_S = 300
"""Seconds after which an idle stream checks its session and looks for missed rows."""

_BEATS_PER_LOOK = LOOK_S // HEARTBEAT_S
# Signals of changes that are stored, too.
_WRITTEN_DOWN = frozenset(("read", "survey"))
_PRESENCE = {is_online: sse.event("presence", {"online": is_online}) for is_online in (False, True)}


class CustomerStream:
    """The streams of customers in one process."""

    def __init__(self, services: sse.StreamServices) -> None:
        self.services = services
        self.looks: BatchedReads[Look, Found] = BatchedReads(services.database, customer_look.look)
        self._wanted: BatchedReads[Wanted, State | None] = BatchedReads(services.database, customer_look.find_wanted)
        self.of_session: Counts[int] = Counts()
        self.of_address: Counts[str] = Counts()
        self._extensions: set[asyncio.Task[None]] = set()

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, more_headers: sse.Headers, on_end: Callable[[], None]
    ) -> None:
        """Answer a request with a stream.

        Raises:
            RequestError: 401, 429, 404 when there is no conversation (yet); before anything was sent.
            StorageError: 503, likewise.
        """
        session = await self.services.sessions.session_of(scope)
        self.services.limits.requests.take(session.id)
        wanted = parse_qs(scope["query_string"].decode("latin-1")).get("customerThreadId", [""])[0]
        thread = await self._wanted.read(Wanted(session, wanted))
        if thread is None:
            raise no_thread(wanted)
        address = address_of(HTTPConnection(scope))
        self._check_counts(address, session.id)
        stream = _Stream(self, session, wanted, thread, address, on_end)
        stream.begin(sse.last_event_id(scope["headers"]) or 0, base_url(Request(scope), self.services.settings))
        await sse.open_stream(receive, send, more_headers, stream)

    def _check_counts(self, address: str, session_id: int) -> None:
        # Otherwise one machine with many sessions could take all connections of the process.
        most = self.services.limits.streams_of_address
        if self.of_address.of(address) >= most:
            raise QuotaExceeded(ADDRESS_RETRY_S, Quota("visitor", most, ADDRESS_RETRY_S))
        if self.of_session.of(session_id) >= STREAMS_PER_SESSION:
            raise TooManyLongPolls

    def extend(self, session: CustomerSession) -> None:
        """Extend a session that is used, if it is time."""
        if session.wants_extension(clock.now_ms()):
            task = asyncio.create_task(self.services.sessions.extend(session))
            self._extensions.add(task)
            task.add_done_callback(self._extensions.discard)


class _Stream(Stream):
    """The stream of one conversation: its cursor, and what it has told its client."""

    __slots__ = (
        "_address",
        "_base",
        "_beats_until_look",
        "_expires_at_ms",
        "_has_moved",
        "_is_ready",
        "_sees_store",
        "_sequence",
        "_service",
        "_session_id",
        "_state",
        "_survey_id",
        "_token_hash",
        "_wanted",
    )

    def __init__(
        self,
        service: CustomerStream,
        session: CustomerSession,
        wanted: str,
        state: State,
        address: str,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(session.organization_id, state.thread_id, state.business_id, on_end)
        self._service = service
        self._session_id = session.id
        self._token_hash = session.token_hash
        self._expires_at_ms = session.expires_at_ms
        self._wanted = wanted
        self._state = state
        self._address = address
        self._base = ""
        self._sequence = 0
        self._survey_id: int | None = None
        self._beats_until_look = _BEATS_PER_LOOK
        self._has_moved = False
        self._is_ready = False
        self._sees_store = False

    def begin(self, after_sequence: int, base: str) -> None:
        """Subscribe.

        Args:
            after_sequence: the position of the last message that the client has.
            base: the base URL of this server.
        """
        self._sequence = after_sequence
        self._base = sys.intern(base)  # thousands of streams have the same one
        self._service.of_address.add(self._address)
        self._service.of_session.add(self._session_id)
        broadcaster = self._service.services.broadcaster
        broadcaster.subscribe(self)
        self.see_store(is_online=broadcaster.is_store_online(self.organization_id, self.business_id))
        self._show(online=True)

    def leave(self) -> None:
        broadcaster = self._service.services.broadcaster
        broadcaster.unsubscribe(self)
        self._service.of_address.remove(self._address)
        self._service.of_session.remove(self._session_id)
        if not broadcaster.is_listening(self.organization_id, self.thread_id):
            self._show(online=False)

    def _show(self, *, online: bool) -> None:
        """Show the business that the customer is online or offline."""
        data = {"from": "customer", "online": online}
        signal = Signal(self.organization_id, self.thread_id, self.business_id, "presence", data)
        self._service.services.pubsub.signal(signal)

    async def first_turn(self) -> Turn:
        return self._turn_of(await self._service.looks.read(self._next_look()))

    def start_turn(self) -> None:
        self._service.looks.submit(self._next_look(), self._on_found)

    def _next_look(self) -> Look:
        wanted = self._wanted if self._has_moved else None
        self.has_rows = self._has_moved = False
        return Look(self.organization_id, self._token_hash, wanted, self.thread_id, self._sequence)

    def _on_found(self, found: Found | Exception) -> None:
        if isinstance(found, Exception):
            self.failed(found)
            return
        try:
            self.turned(self._turn_of(found))
        except Exception as error:  # noqa: BLE001 - it ends this stream only
            self.failed(error)

    def _turn_of(self, found: Found) -> Turn:
        session, state, lines, encoded = found
        self._expires_at_ms = session.expires_at_ms
        self._service.extend(session)
        if state.thread_id != self.thread_id:
            return sse.event("resync", {}, 0), False
        if self._sequence > state.last_sequence:
            # The cursor is of another conversation, or an older backup was restored.
            self._sequence, self._is_ready = 0, False
            self.has_rows = True
            return sse.event("resync", {}, 0), True
        content = bytearray()
        for line in lines:
            content += self._message(line, state, encoded)
            self._sequence = line.sequence
            if len(content) >= sse.CONTENT_BYTES:
                break
        if lines and (len(lines) == PAGE_LINES or self._sequence < lines[-1].sequence):
            self.has_rows = True  # read the next page
        else:
            content += self._changes(state)
        return bytes(content), True

    def _message(self, line: Line, state: State, encoded: dict[tuple[int, str], bytes]) -> bytes:
        content = encoded.get((line.id, self._base))
        if content is None:
            shown = message_out(line, state, self._base, self._service.services.links)
            content = sse.event("message", shown.model_dump(mode="json", by_alias=True), line.sequence)
            encoded[line.id, self._base] = content
        return content

    def _changes(self, state: State) -> bytes:
        before, self._state = self._state, state
        content = b""
        if not self._is_ready:
            self._is_ready = True
            content += sse.event("ready", _ready(state, self._sequence))
        elif before.status != state.status:
            content += sse.event("status", {"status": state.status})
            # The survey may come from a process whose wake-ups do not reach this one.
            self._beats_until_look = 1
        if before.read_by_store_sequence < state.read_by_store_sequence:
            content += sse.event("read", {"by": "store", "sequence": state.read_by_store_sequence})
        if before.read_by_customer_sequence < state.read_by_customer_sequence:
            content += sse.event("read", {"by": "customer", "sequence": state.read_by_customer_sequence})
        if state.survey_id is not None and state.survey_id != self._survey_id:
            content += sse.event("survey", {"surveyId": str(state.survey_id), "kind": state.survey_kind})
        self._survey_id = state.survey_id
        return content

    def tell(self, *, has_moved: bool = False) -> None:
        self._has_moved |= has_moved
        super().tell()

    def hear(self, signal: Encoded[Signal]) -> None:
        kind, data, business_id = signal.value.kind, signal.value.data, signal.value.business_id
        if kind == "ended":
            if data.get("sessionId") == self._session_id:
                self.end()
        elif signal.value.thread_id or business_id in (0, self.business_id):
            if kind in _WRITTEN_DOWN:
                self.tell()
            elif kind == "typing" and data.get("from") == "store":
                self.post(signal.content(_typing))

    def see_store(self, *, is_online: bool) -> None:
        if self._sees_store != is_online:
            self._sees_store = is_online
            self.post(_PRESENCE[is_online])

    def post(self, content: bytes) -> None:
        if not self._end_if_expired():
            super().post(content)

    def beat(self) -> None:
        super().beat()
        if self._end_if_expired():
            return
        services = self._service.services
        self.see_store(is_online=services.broadcaster.is_store_online(self.organization_id, self.business_id))
        self._beats_until_look -= 1
        if self._beats_until_look <= 0:
            self._beats_until_look = _BEATS_PER_LOOK
            self.tell()

    def _end_if_expired(self) -> bool:
        is_expired = self._expires_at_ms <= clock.now_ms()
        if is_expired:
            self.end()
        return is_expired


def _typing(signal: Signal) -> bytes:
    return sse.event("typing", {"from": "store", "employeeName": signal.data.get("employeeName")})


def _ready(state: State, last_sequence: int) -> dict[str, object]:
    return {
        "customerThreadId": str(state.thread_id),
        "status": state.status,
        "lastSequence": last_sequence,  # the thread's own counts notes, too
        "readByStoreSequence": state.read_by_store_sequence,
        "readByCustomerSequence": state.read_by_customer_sequence,
    }
