"""Open streams of Server-Sent Events (WHATWG HTML, 9.2), and write events."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Send

from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.db.database import Database
from shopbell.http.request.authentication import Authentication
from shopbell.http.request.customer_sessions import CustomerSessions
from shopbell.http.request.employee_sessions import EmployeeSessions
from shopbell.http.request.rate_limit import RateLimit
from shopbell.http.request.visitor_limits import VisitorLimits
from shopbell.http.server.detached import DETACH
from shopbell.http.streams.feed_broadcaster import FeedBroadcaster
from shopbell.http.streams.stream import Stream
from shopbell.realtime.hub import PubSub
from shopbell.settings.settings import Settings

CONTENT_BYTES = 65_536
"""About how much is collected before it is sent. The server cuts clients that do not read
(``http/server/unread.py``)."""

Headers = Sequence[tuple[bytes, bytes]]

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # a proxy must not buffer events
)


@dataclass(frozen=True, slots=True)
class StreamServices:
    """What streams work with. ``app.py`` makes one for each process.

    Args:
        authentication: finds tokens.
        employees: finds sessions of employees.
        sessions: finds sessions of customers.
        rate_limit: the limit of each token. Opening a stream is a request.
        limits: the limits of visitors.
        database: the database.
        pubsub: carries signals.
        broadcaster: tells streams about new events.
        links: signs links to attachments.
        settings: the settings.
    """

    authentication: Authentication
    employees: EmployeeSessions
    sessions: CustomerSessions
    rate_limit: RateLimit
    limits: VisitorLimits
    database: Database
    pubsub: PubSub
    broadcaster: FeedBroadcaster
    links: AttachmentLinks
    settings: Settings


def event(name: str, data: object, id_: int | None = None) -> bytes:
    """Encode an event.

    Args:
        name: its type.
        data: its data, for JSON.
        id_: what a reconnecting client sends as ``Last-Event-ID``; None keeps the previous one.
    """
    head = f"event: {name}\n" if id_ is None else f"id: {id_}\nevent: {name}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"


def last_event_id(headers: Headers) -> int | None:
    """Return the number in ``Last-Event-ID``, or None."""
    for name, value in headers:
        if name == b"last-event-id" and value.isdigit() and len(value) < 16:
            return int(value)
    return None


async def open_stream(receive: Receive, send: Send, more_headers: Headers, stream: Stream) -> None:
    """Respond to a request with a stream, and return when it is open.

    The server then forgets the request.

    Args:
        receive: the ASGI callable of the request.
        send: the other ASGI callable.
        more_headers: further headers of the response.
        stream: the stream, which has subscribed. It unsubscribes if it cannot be opened.

    Raises:
        RequestError: becomes the response.
        StorageError: becomes the response (503).
        ClientDisconnect: the client has gone.
    """
    try:
        while (await receive()).get("more_body", False):
            pass  # this request needs no body
        stream.expect(await stream.first_turn())
        await send({"type": DETACH, "status": 200, "headers": [*_HEADERS, *more_headers], "handler": stream})
    except BaseException:
        stream.closed()
        raise
