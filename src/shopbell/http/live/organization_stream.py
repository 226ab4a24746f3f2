"""``GET /api/stream``: all that happens in an organization, as it happens; bare ASGI.

The ids of its events are positions of the feed: first load, live and reconnect are the same query with a cursor, and
what is read here is what ``GET /api/events`` reads.
"""

import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from shopbell import feed, organizations
from shopbell.errors import Fault, Invalid, NotFound
from shopbell.http.api.events import AFTER_FORMAT, shown_event
from shopbell.http.api.waiting import TooManyWaiting
from shopbell.http.authentication import require_scope
from shopbell.http.ids import read_id
from shopbell.http.live import sse
from shopbell.http.live.followers import Follower
from shopbell.http.problems import ANSWER_HEADERS
from shopbell.tokens import Token
from shopbell.wakes.signals import Signal

ROUTE = "/api/stream"
SCOPE = "threads:read"
STREAMS_PER_TOKEN = 64
"""Streams of one token that may be open at once, per server process."""
PAGE_EVENTS = 200
_LATEST = "latest"
_POSITION_MAX_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Args:
        after: the position to go on from; None for what happens from now on.
        business_id: only events of this business.
        present: whether the stream shows customers that somebody of the store is there.
    """

    after: int | None
    business_id: int | None
    present: bool


class OrganizationStream:
    """The streams of programs in one process."""

    def __init__(self, parts: sse.Parts) -> None:
        self._parts = parts
        self._of_token: Counter[int] = Counter()
        self._present: Counter[tuple[int, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, more_headers: sse.Headers) -> None:
        """Answer a request with a stream.

        Raises:
            Problem: 401, 429, 403, 400, 404, in this order, before anything was sent.
            StorageError: 503, likewise.
        """
        parts = self._parts
        token = await parts.authentication.token_of(scope["headers"])
        allowance = parts.rate_limit.take(token.id, time.monotonic())
        scope[ANSWER_HEADERS] = allowance.headers
        allowance.check()
        require_scope(token, SCOPE)
        asked = read_query(scope)
        if asked.business_id is not None:
            found = await parts.database.read(organizations.find_business, token.organization_id, asked.business_id)
            if found is None:
                raise NotFound("businessId")
        if self._of_token[token.id] >= STREAMS_PER_TOKEN:
            raise TooManyWaiting
        self._of_token[token.id] += 1
        try:
            with parts.followers.follow(token.organization_id, business_id=asked.business_id or 0) as follower:
                place = _Place(parts, token, asked, follower, scope["headers"])
                shown_to = (token.organization_id, asked.business_id or 0)
                self._present[shown_to] += asked.present
                try:
                    headers = (*more_headers, *allowance.headers)
                    await sse.run(scope, receive, send, headers, parts.followers, follower, place.turn)
                finally:
                    self._present[shown_to] -= asked.present
                    if not self._present[shown_to]:  # the last one that was there
                        del self._present[shown_to]
                        place.leave()
        finally:
            self._of_token[token.id] -= 1
            if not self._of_token[token.id]:
                del self._of_token[token.id]


def read_query(scope: Scope) -> Asked:
    """Read what a request asks for.

    Raises:
        Invalid: 400, with all faults.
    """
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    faults: list[Fault] = []
    given = query.get("after", _LATEST)
    after = int(given) if given.isascii() and given.isdigit() and len(given) <= _POSITION_MAX_DIGITS else None
    if after is None and given != _LATEST:
        faults.append(Fault("query", "after", "invalid_format", AFTER_FORMAT))
    business_id = None
    if "businessId" in query:
        business_id, fault = read_id(query["businessId"], "#")
        if fault is not None:
            faults.append(Fault("query", "businessId", fault.code, fault.detail))
    present = query.get("present", "false")
    if present not in ("true", "false"):
        faults.append(Fault("query", "present", "invalid_value", "must be `true` or `false`"))
    if faults:
        raise Invalid(faults)
    resumed = sse.last_event_id(scope["headers"])
    return Asked(after if resumed is None else resumed, business_id, present == "true")


class _Place:
    """One stream's place in the feed."""

    __slots__ = ("_asked", "_follower", "_headers", "_is_ready", "_parts", "_position", "_shows_at_s", "_token")

    def __init__(self, parts: sse.Parts, token: Token, asked: Asked, follower: Follower, headers: sse.Headers) -> None:
        self._parts = parts
        self._token = token
        self._asked = asked
        self._follower = follower
        self._headers = headers
        self._position = asked.after
        self._is_ready = False
        self._shows_at_s = 0.0

    async def turn(self) -> tuple[bytes, bool]:
        """What is new, and that more may come."""
        await self._parts.authentication.token_of(self._headers)  # one that was revoked since hears nothing more
        now_s = time.monotonic()
        if self._asked.present and now_s >= self._shows_at_s:
            self._shows_at_s = now_s + sse.HEARTBEAT_S / 2
            self._show(online=True)
        if self._position is None:
            self._position = await self._parts.database.read(feed.last_position, self._token.organization_id)
        content, more = bytearray(), self._follower.has_rows
        self._follower.has_rows = False
        while more and len(content) < sse.CONTENT_BYTES:
            page = await self._page(self._position)
            if page.truncated:
                content += sse.event("resync", {}, page.last_position)
            for event in page.events:
                if self._asked.business_id in (None, event.business_id):
                    shown = shown_event(event).model_dump(mode="json", by_alias=True)
                    content += sse.event(event.type, shown, event.position)
            self._position, more = page.last_position, page.has_more
        if more:
            self._follower.tell()  # for the next piece
        elif not self._is_ready:
            self._is_ready = True
            content += sse.event("ready", {"lastPosition": self._position}, self._position)
        for signal in self._follower.take_signals():
            content += sse.event(signal.kind, {**_place_of(signal), **signal.data})
        return bytes(content), True

    async def _page(self, after: int) -> feed.Page:
        organization_id = self._token.organization_id
        recent = self._parts.followers.recent(organization_id, after)
        if recent is not None:
            return feed.Page(recent, recent[-1].position if recent else after, has_more=False, truncated=False)
        return await self._parts.database.read(feed.read, organization_id, after, limit=PAGE_EVENTS)

    def leave(self) -> None:
        """Show customers that somebody goes, who had shown that he is there."""
        if self._asked.present:
            self._show(online=False)

    def _show(self, *, online: bool) -> None:
        data = {"from": "store", "online": online}
        signal = Signal(self._token.organization_id, 0, self._asked.business_id or 0, "presence", data)
        self._parts.wakes.signal(signal)


def _place_of(signal: Signal) -> dict[str, str | None]:
    return {
        "customerThreadId": str(signal.thread_id) if signal.thread_id else None,
        "businessId": str(signal.business_id) if signal.business_id else None,
    }
