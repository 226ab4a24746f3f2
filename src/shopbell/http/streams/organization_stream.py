"""``GET /api/stream``: the live stream of all events of an organization.

The ids of events are positions in the feed: first load, live events and reconnects are one query with a cursor, the
same as that of ``GET /api/events``.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from shopbell.conversations import visible_events
from shopbell.conversations.visible_events import is_visible_now
from shopbell.errors import FieldError, Invalid, NotFound
from shopbell.events import feed
from shopbell.events.feed import Event
from shopbell.http.api.events import AFTER_FORMAT, event_out
from shopbell.http.request import cookies
from shopbell.http.request.ids import read_id
from shopbell.http.request.long_polling import TooManyLongPolls
from shopbell.http.request.principal import Principal, authenticate
from shopbell.http.server.responses import RESPONSE_HEADERS
from shopbell.http.streams import sse
from shopbell.http.streams.stream import Counts, Encoded, Stream, Turn
from shopbell.organizations import organizations
from shopbell.realtime.signals import Signal

ROUTE = "/api/stream"
SCOPE = "threads:read"
STREAMS_PER_CALLER = 64
"""The maximum number of open streams of one token or employee, per server process."""
PAGE_EVENTS = 200
_LATEST = "latest"
_POSITION_MAX_DIGITS = 16
_BEAT = sse.event("beat", {})


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The parameters of a request.

    Args:
        after: the position to continue from; None for new events only.
        business_id: only events of this business.
        present: whether customers see the business as online while the stream is open.
    """

    after: int | None
    business_id: int | None
    present: bool


class OrganizationStream:
    """The streams of organizations in one process."""

    def __init__(self, services: sse.StreamServices) -> None:
        self.services = services
        self.of_caller: Counts[int] = Counts()
        self.present: Counts[tuple[int, int]] = Counts()
        self._turns: set[asyncio.Task[None]] = set()

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, more_headers: sse.Headers, on_end: Callable[[], None]
    ) -> None:
        """Answer a request with a stream.

        Raises:
            RequestError: 401, 429, 403, 400, 404, in this order, before anything was sent.
            StorageError: 503, likewise.
        """
        services = self.services
        principal = await self.authenticate(scope)
        allowance = services.rate_limit.take(principal.id, time.monotonic())
        scope[RESPONSE_HEADERS] = allowance.headers
        allowance.check()
        businesses = principal.businesses_with(SCOPE)
        asked = read_query(scope)
        if asked.business_id is not None:
            find = organizations.find_business
            found = await services.database.read(find, principal.organization_id, asked.business_id)
            if found is None or (businesses is not None and found.id not in businesses):
                raise NotFound("businessId")
        if self.of_caller.of(principal.id) >= STREAMS_PER_CALLER:
            raise TooManyLongPolls
        stream = _Stream(self, principal, asked, scope, on_end)
        stream.begin()
        await sse.open_stream(receive, send, (*more_headers, *allowance.headers), stream)

    async def authenticate(self, scope: Mapping[str, Any]) -> Principal:
        """Return who opened a stream.

        Raises:
            Unauthorized: 401.
            StorageError: 503.
        """
        return await authenticate(self.services.authentication, self.services.employees, scope, scope["headers"])

    def start(self, turn: Coroutine[Any, Any, None]) -> None:
        """Run a turn of a stream in the background."""
        task = asyncio.create_task(turn)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)


def read_query(scope: Scope) -> StreamRequest:
    """Read the parameters of a request.

    Raises:
        Invalid: 400, with all errors.
    """
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    errors: list[FieldError] = []
    given = query.get("after", _LATEST)
    after = int(given) if given.isascii() and given.isdigit() and len(given) <= _POSITION_MAX_DIGITS else None
    if after is None and given != _LATEST:
        errors.append(FieldError("after", "invalid_format", AFTER_FORMAT, source="query"))
    business_id = None
    if "businessId" in query:
        business_id, error = read_id(query["businessId"], "")
        if error is not None:
            errors.append(FieldError("businessId", error.code, error.detail, source="query"))
    present = query.get("present", "false")
    if present not in ("true", "false"):
        errors.append(FieldError("present", "invalid_value", "must be `true` or `false`", source="query"))
    if errors:
        raise Invalid(errors)
    resumed = sse.last_event_id(scope["headers"])
    return StreamRequest(after if resumed is None else resumed, business_id, present == "true")


class _Stream(Stream):
    """The stream of one program or employee, with its cursor."""

    __slots__ = (
        "_asked",
        "_businesses",
        "_caller_id",
        "_credentials",
        "_is_program",
        "_is_ready",
        "_position",
        "_service",
    )

    def __init__(
        self,
        service: OrganizationStream,
        principal: Principal,
        asked: StreamRequest,
        scope: Scope,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(principal.organization_id, 0, asked.business_id or 0, on_end)
        self._service = service
        self._caller_id = principal.id
        self._is_program = principal.employee_id is None
        self._businesses = principal.businesses_with(SCOPE)
        self._asked = asked
        tokens = [pair for pair in scope["headers"] if pair[0] == b"token"]
        kept = {name: scope[name] for name in ("scheme", cookies.KEY) if name in scope}
        self._credentials = {**kept, "headers": tokens}
        self._position = asked.after
        self._is_ready = False

    def begin(self) -> None:
        """Subscribe."""
        self._service.of_caller.add(self._caller_id)
        self._service.services.broadcaster.subscribe(self)
        for shown_to in self._shown_to():
            self._service.present.add(shown_to)

    def leave(self) -> None:
        self._service.services.broadcaster.unsubscribe(self)
        self._service.of_caller.remove(self._caller_id)
        for shown_to in self._shown_to():
            self._service.present.remove(shown_to)
            if not self._service.present.of(shown_to):  # the last stream that showed the business as online
                self._show(shown_to, online=False)

    async def first_turn(self) -> Turn:
        self._show_if_present()
        return await self._turn()

    def start_turn(self) -> None:
        self._service.start(self._run_turn())

    async def _run_turn(self) -> None:
        try:
            self.turned(await self._turn())
        except Exception as error:  # noqa: BLE001 - it ends this stream only
            self.failed(error)

    async def _turn(self) -> Turn:
        services = self._service.services
        principal = await self._service.authenticate(self._credentials)  # the token may have been revoked
        self._businesses = principal.businesses_with(SCOPE)
        if self._position is None:
            self._position = await services.database.read(feed.last_position, self.organization_id)
        content, has_more = bytearray(), self.has_rows
        self.has_rows = False
        while has_more and len(content) < sse.CONTENT_BYTES:
            events, page = await self._page(self._position)
            if page.truncated:
                content += sse.event("resync", {}, page.last_position)
            for event in events:
                if self._asked.business_id in (None, event.value.business_id):
                    content += event.content(_event)
            self._position, has_more = page.last_position, page.has_more
        if has_more:
            self.has_rows = True  # read the next page
        elif not self._is_ready:
            self._is_ready = True
            content += sse.event("ready", {"lastPosition": self._position}, self._position)
        return bytes(content), True

    async def _page(self, after: int) -> tuple[list[Encoded[Event]], feed.Page]:
        services, organization_id = self._service.services, self.organization_id
        recent, businesses = services.broadcaster.recent(organization_id, after), self._businesses
        if recent is not None:
            position = recent[-1].value.position if recent else after
            visible = [businesses is None or is_visible_now(event.value, businesses) for event in recent]
            if None not in visible:
                page = feed.Page([], position, has_more=False, truncated=False)
                return [event for event, is_visible in zip(recent, visible, strict=True) if is_visible], page
        read = visible_events.read
        page = await services.database.read(read, organization_id, after, limit=PAGE_EVENTS, businesses=businesses)
        return [Encoded(event) for event in page.events], page

    def has_news(self) -> bool:
        return self.has_rows or bool(self._posts)  # nothing is sent before the token was checked

    def hear(self, signal: Encoded[Signal]) -> None:
        business_id = signal.value.business_id
        # Answers to surveys are events, too. A session that ended is not theirs.
        if (
            signal.value.kind not in ("ended", "survey")
            and (not self.business_id or business_id in (0, self.business_id))
            and (self._businesses is None or business_id in self._businesses)
        ):
            self.post(signal.content(_signal))

    def see_store(self, *, is_online: bool) -> None:
        """Do nothing: programs set the business online themselves."""

    def heartbeat(self) -> bytes:
        # Browsers hide comments: only an event shows the inbox that the connection is still there.
        return super().heartbeat() if self._is_program else _BEAT

    def beat(self) -> None:
        super().beat()
        self._show_if_present()
        self.tell()  # the token may have been revoked

    def _show_if_present(self) -> None:
        for shown_to in self._shown_to():
            self._show(shown_to, online=True)

    def _shown_to(self) -> list[tuple[int, int]]:
        """The organization, and each business that is shown as online; 0 for all."""
        if not self._asked.present:
            return []
        some = [self.business_id] if self.business_id or self._businesses is None else sorted(self._businesses)
        return [(self.organization_id, business_id) for business_id in some]

    def _show(self, shown_to: tuple[int, int], *, online: bool) -> None:
        organization_id, business_id = shown_to
        data = {"from": "store", "online": online}
        signal = Signal(organization_id, 0, business_id, "presence", data)
        self._service.services.pubsub.signal(signal)


def _event(event: Event) -> bytes:
    return sse.event(event.type, event_out(event).model_dump(mode="json", by_alias=True), event.position)


def _signal(signal: Signal) -> bytes:
    return sse.event(signal.kind, {**_place_of(signal), **signal.data})


def _place_of(signal: Signal) -> dict[str, str | None]:
    return {
        "customerThreadId": str(signal.thread_id) if signal.thread_id else None,
        "businessId": str(signal.business_id) if signal.business_id else None,
    }
