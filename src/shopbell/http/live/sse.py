"""Server-Sent Events (WHATWG HTML, section 9.2) over bare ASGI: one task for a stream, and nothing between.

A framework's streaming answer costs several tasks and queues for each; a process must hold thousands of streams.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from prometheus_client import Gauge
from starlette.types import Receive, Scope, Send

from shopbell.attachment_links import AttachmentLinks
from shopbell.errors import Problem, StorageError
from shopbell.http import cookies
from shopbell.http.authentication import Authentication
from shopbell.http.customer.access import CustomerAccess
from shopbell.http.customer.limits import VisitorLimits
from shopbell.http.live.followers import Follower, Followers
from shopbell.http.metrics import BEGAN_S
from shopbell.http.rate import RateLimit
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.wakes.hub import Wakes

HEARTBEAT_S = 20
"""Less than proxies wait for on a silent connection."""
RETRY_MS = 2_000

CONTENT_BYTES = 65_536
"""About how much is put together before it is sent. What a client does not read is let go of by ``connection.py``."""

Headers = Sequence[tuple[bytes, bytes]]

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # a proxy must pass on each event as it comes
)
_BEAT = b":\n\n"
_BEGIN = b"retry: %d\n\n" % RETRY_MS

OPEN = Gauge("shopbell_open_streams", "Streams that are open.", multiprocess_mode="livesum")

Turn = Callable[[], Awaitable[tuple[bytes, bool]]]
"""What is to be sent now, and whether the stream goes on after it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What streams work with; made once, by ``app.py``.

    Args:
        authentication: finds tokens.
        sessions: finds customers' sessions.
        rate_limit: the rates of all tokens; opening a stream is a request.
        limits: those of customers' browsers.
        database: where everything is.
        wakes: carries signals.
        followers: all streams of the process.
        links: makes links to attachments.
        settings: those of this process.
    """

    authentication: Authentication
    sessions: CustomerAccess
    rate_limit: RateLimit
    limits: VisitorLimits
    database: Database
    wakes: Wakes
    followers: Followers
    links: AttachmentLinks
    settings: Settings


def event(name: str, data: object, id_: int | None = None) -> bytes:
    """An event as it is sent.

    Args:
        name: its type.
        data: in JSON's types; on one line, as JSON is.
        id_: what a client that comes again sends as ``Last-Event-ID``; None leaves the last one.
    """
    head = f"event: {name}\n" if id_ is None else f"id: {id_}\nevent: {name}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"


def last_event_id(headers: Headers) -> int | None:
    """The number in ``Last-Event-ID``; None where there is none, or something else."""
    for name, value in headers:
        if name == b"last-event-id" and value.isdigit() and len(value) < 16:
            return int(value)
    return None


async def run(
    scope: Scope,
    receive: Receive,
    send: Send,
    more_headers: Headers,
    followers: Followers,
    follower: Follower,
    turn: Turn,
) -> None:
    """Answer with a stream until its client goes, the server stops or ``turn`` ends it.

    Args:
        scope: the request's; its headers are forgotten once the stream is open.
        receive: the ASGI callable of the request.
        send: the other one.
        more_headers: headers of the answer beside those of any stream.
        followers: tells when the server is about to stop.
        follower: is woken by news.
        turn: called at once, after each piece of news and at each heartbeat. What it raises the first time is the
            request's answer; later it ends the stream, and the client comes again.
    """
    while (await receive()).get("more_body", False):
        pass  # a body that nobody asked for
    content, goes_on = await turn()
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *more_headers]})
    scope[BEGAN_S] = time.perf_counter()
    scope["headers"] = []  # a browser sends kilobytes of them
    cookies.forget(scope)
    gone = asyncio.ensure_future(receive())
    gone.add_done_callback(lambda _: follower.wake())
    OPEN.inc()
    try:
        content = _BEGIN + content
        while not gone.done():
            await send({"type": "http.response.body", "body": content, "more_body": True})
            content = b""  # it may be large, and the wait long
            if not goes_on:
                break
            content, goes_on = await _next(followers, follower, turn, gone)
    except (Problem, StorageError):
        pass
    finally:
        OPEN.dec()
        gone.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next(
    followers: Followers, follower: Follower, turn: Turn, gone: "asyncio.Future[Any]"
) -> tuple[bytes, bool]:
    """What is to be sent next, and whether the stream goes on after it; waits for it."""
    loop = asyncio.get_running_loop()
    beat_at_s = loop.time() + HEARTBEAT_S
    while True:
        await follower.wait(beat_at_s - loop.time())
        if gone.done() or followers.is_ending or follower.has_ended:
            return b"", False
        content, goes_on = await turn()
        if content or not goes_on:
            return content, goes_on
        if loop.time() >= beat_at_s:
            return _BEAT, True
