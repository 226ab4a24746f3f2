"""Readers of live streams, for programs and for customers."""

import json
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, BinaryIO
from urllib.parse import urlencode

from harness.shop import Shop
from harness.visitors import Browser, Site

CUSTOMER_STREAM = "/api/customer/stream"
PROGRAMS_STREAM = "/api/stream"
REPLY = "/api/send-message-to-customer-thread"
NOTE = "a note that no customer may see"
SOON_S = 15
"""Less than the time between two heartbeats, and more than a busy machine takes."""


class Listening:
    """Reads a stream, and gives its events one by one; made by :func:`listening_to`."""

    def __init__(self, answer: BinaryIO) -> None:
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.beats = 0
        self.is_whole = False
        self._answer = answer
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        event: dict[str, Any] = {}
        with suppress(OSError):
            for line in self._lines():
                name, _, value = line.partition(": ")
                self.beats += name == ":"
                if not name and "event" in event:
                    self.events.put({**event, "data": json.loads(event["data"])})
                event = event | {name: value} if name else {}
        self.events.put(None)

    def _lines(self) -> Iterator[str]:
        rest = b""
        while size := self._answer.readline():  # in hexadecimal, before each chunk; 0 is the end
            if not int(size, 16):
                self.is_whole = True
                return
            *lines, rest = (rest + self._answer.read(int(size, 16) + 2)[:-2]).split(b"\n")
            yield from (line.decode() for line in lines)

    def join(self) -> None:
        """Wait until all is read."""
        self._thread.join()

    def next(self, *names: str) -> dict[str, Any]:
        """The next event of one of these kinds."""
        while True:
            event = self.events.get(timeout=SOON_S)
            assert event is not None, "the stream has ended"
            if event["event"] in names:
                return event

    def until_ready(self) -> list[dict[str, Any]]:
        """What comes before ``ready``."""
        found = []
        while (event := self.events.get(timeout=SOON_S)) is not None and event["event"] != "ready":
            found.append(event)
        assert event is not None
        return found

    def is_quiet(self, *names: str, thread_id: str = "") -> bool:
        """Whether nothing more comes for a moment, or no event of these kinds, or none of this thread."""
        until_s = time.monotonic() + 0.5
        while (left_s := until_s - time.monotonic()) > 0:
            with suppress(queue.Empty):
                event = self.events.get(timeout=left_s)
                is_meant = event is None or not names or event["event"] in names
                if is_meant and (event is None or thread_id in ("", event["data"].get("customerThreadId"))):
                    return False
        return True

    def ends(self) -> bool:
        """Whether it ends, and soon."""
        while self.events.get(timeout=SOON_S) is not None:
            pass
        return True

    def so_far(self) -> list[dict[str, Any]]:
        """What has come and was not asked for yet."""
        found = []
        while not self.events.empty():
            event = self.events.get()
            if event is not None:
                found.append(event)
        return found


@contextmanager
def listening_to(shop: Shop, path: str, headers: Mapping[str, str]) -> Iterator[Listening]:
    """A stream while the block runs; it must be answered 200."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with (
        socket.create_connection(("127.0.0.1", shop.server.port), timeout=60) as wire,
        closing(wire.makefile("rb")) as answer,
    ):
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        status = answer.readline()
        assert status.startswith(b"HTTP/1.1 200 "), status
        while answer.readline() != b"\r\n":
            pass
        stream = Listening(answer)
        try:
            yield stream
        finally:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)  # to close it would not end the reading
            stream.join()


@contextmanager
def watching(browser: Browser, *, after: int | str = "", shop: Shop | None = None) -> Iterator[Listening]:
    """A customer's stream while the block runs.

    Args:
        browser: whose.
        after: the place of the last message that it has.
        shop: another process than the browser's own.
    """
    headers = browser.headers | ({"Last-Event-ID": str(after)} if after != "" else {})
    with listening_to(shop or browser.shop, CUSTOMER_STREAM, headers) as stream:
        yield stream


@contextmanager
def following(shop: Shop, *, token: str = "", last_event_id: str = "", **query: str) -> Iterator[Listening]:
    """A program's stream while the block runs, with Acme's token or another one."""
    headers = {"token": token or shop.world.token} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    with listening_to(shop, f"{PROGRAMS_STREAM}?{urlencode(query)}", headers) as stream:
        yield stream


@contextmanager
def deaf(browser: Browser, *, room_bytes: int = 4_096) -> Iterator[socket.socket]:
    """The connection of a stream of which nothing is read."""
    wire = socket.socket()
    with wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
        wire.connect(("127.0.0.1", browser.shop.server.port))
        head = f"GET {CUSTOMER_STREAM} HTTP/1.1\r\nHost: a\r\nAuthorization: {browser.headers['authorization']}\r\n\r\n"
        wire.sendall(head.encode())
        yield wire


def places(events: Sequence[dict[str, Any]]) -> list[int]:
    """The sequences of the messages among events, as their ids say."""
    return [int(event["id"]) for event in events if event["event"] == "message"]


def until(stream: Listening, text: str) -> list[dict[str, Any]]:
    """What comes until a message, with it."""
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["data"].get("text") != text:
        event = stream.events.get(timeout=SOON_S)
        assert event is not None, "the stream has ended"
        heard.append(event)
    return heard


def somebody(site: Site, text: str = "Is it in stock?") -> tuple[Browser, str]:
    """A visitor who has written, and his conversation."""
    browser = site.visitor()
    return browser, browser.say(text)["customerThreadId"]


def post(shop: Shop, path: str, token: str = "", **body: Any) -> dict[str, Any]:
    """What the store does, with Acme's token or another one; it must be answered 200."""
    answer = shop.post(body, path=path, token=token)
    assert answer.status_code == 200, answer.text
    got: dict[str, Any] = answer.json()
    return got


def reply(shop: Shop, thread_id: str, text: str = "It is.", **fields: Any) -> None:
    """The store answers."""
    post(shop, REPLY, customerThreadId=thread_id, text=text, **fields)


def visible(shop: Shop, thread_id: str) -> list[int]:
    """The places of all messages but notes."""
    return [row["sequence"] for row in shop.messages(thread_id) if not row["internal"]]
