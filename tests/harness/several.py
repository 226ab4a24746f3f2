"""Helpers for tests of several processes."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from select import select
from typing import Any

import httpx2

from harness import raw
from harness.failing_receivers import Receiver, Request, wait_for
from harness.shop import WIDGET, Shop

EVENTS = "/api/events"
REPLY = "/api/send-message-to-customer-thread"
SLOWEST_POLL_S = 2
"""The longest ``SHOPBELL_POLL_INTERVAL_S``: what comes sooner was brought by a wake-up."""

SELDOM_POLL_S = 10
"""Longer than that may be, so that what a wake-up brings comes sooner on a busy machine, too."""

LOOKS_SELDOM = (
    "-c",
    """
from shopbell.settings.settings import Settings

field = Settings.model_fields["poll_interval_s"]
field.metadata = [each for each in field.metadata if not hasattr(each, "le")]
Settings.model_rebuild(force=True)

from shopbell.cli import main

main()
""",
)
"""Runs Shopbell without the limit of that setting."""

PATIENCE_S = 60
_SETTLE_S = 0.3
_PACE_S = 0.005

Sender = Callable[[httpx2.Client], httpx2.Response]


def subscribe(shop: Shop, receiver: Receiver, token: str = "") -> dict[str, Any]:
    """Make a webhook that leads to a receiver."""
    body = {"url": receiver.url, "subscribedEvents": ["messages"]}
    made = shop.post(body, path="/api/webhooks", token=token)
    assert made.status_code == 200, made.text
    hook: dict[str, Any] = made.json()
    return hook


def states(shop: Shop, hook: dict[str, Any]) -> dict[str, int]:
    """How many deliveries of a webhook are in each state."""
    counted = "SELECT state, count(*) AS count FROM deliveries WHERE webhook_id = :id GROUP BY state"
    return {row["state"]: row["count"] for row in shop.database.rows(counted, id=int(hook["id"]))}


def delivered(shop: Shop, hook: dict[str, Any], count: int, timeout_s: float = PATIENCE_S) -> None:
    """Wait until so many deliveries of a webhook are, and no other is left."""
    expected = {"delivered": count}
    wait_for(lambda: states(shop, hook) == expected, timeout_s, f"not {count}, but {states(shop, hook)}")


def most_at_once(requests: Sequence[Request]) -> int:
    """How many requests were under way at the same moment, at most."""
    steps = [(request.at_s, 1) for request in requests]
    steps += [(request.acknowledged_at_s, -1) for request in requests if request.acknowledged_at_s]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def last_position(shop: Shop) -> int:
    """Where Acme's feed ends now."""
    answer = shop.server.client.get(EVENTS, params={"after": "latest"}, headers={"token": shop.world.token})
    assert answer.status_code == 200, answer.text
    position: int = answer.json()["lastPosition"]
    return position


@contextmanager
def long_poll(shop: Shop, wait_s: int = 20) -> Iterator[socket.socket]:
    """The connection of a request that waits for news, and has none yet."""
    path = f"{EVENTS}?after={last_position(shop)}&waitSeconds={wait_s}"
    with socket.create_connection(("127.0.0.1", shop.server.port), timeout=PATIENCE_S) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\ntoken: {shop.world.token}\r\n\r\n".encode())
        for _ in range(2):
            last_position(shop)  # a busy process that has answered these has also begun with the request before them
        assert not select([wire], [], [], _SETTLE_S)[0], "there is news before anybody wrote"
        yield wire


def is_woken(waiting: Shop, sending: Shop, *, poll_s: float) -> bool:
    """Whether a request that waits at one process gets news before its next poll.

    Both must have this poll interval. The message must come, sooner or later.
    """
    began_s = time.monotonic()  # before that process can have begun to count
    with long_poll(waiting) as wire:
        thread_id = sending.send()
        answer = raw.read_answer(wire)
        took_s = time.monotonic() - began_s
    assert answer.status == 200
    assert [event["customerThreadId"] for event in answer.json()["events"]] == [thread_id]
    return took_s < poll_s


@dataclass
class Subscriber:
    """Follows Acme's feed by long polls, from where it stands now, and keeps all that it hears."""

    shop: Shop
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    empty: int = 0

    @contextmanager
    def following(self) -> Iterator["Subscriber"]:
        """Follow while the block runs."""
        ended = threading.Event()
        self.begin = last_position(self.shop)

        def follow() -> None:
            after = self.begin
            with httpx2.Client(base_url=self.shop.server.url, trust_env=False, verify=False, timeout=30) as client:
                while not ended.is_set():
                    query = {"after": after, "waitSeconds": 1, "limit": 200}
                    try:
                        answer = client.get(EVENTS, params=query, headers={"token": self.shop.world.token})
                    except httpx2.HTTPError as error:
                        self.refused.append(type(error).__name__)
                        continue
                    if answer.status_code != 200:
                        self.refused.append(answer.text)
                        continue
                    page = answer.json()
                    self.events += page["events"]
                    self.empty += not page["events"]
                    after = page["lastPosition"]

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    @property
    def positions(self) -> list[int]:
        """The positions of what it has heard, in the order in which it came."""
        return [event["position"] for event in self.events]


@dataclass
class Load:
    """Senders that send one after the other, each on its own connection, and write down what they are answered."""

    answers: Counter[str] = field(default_factory=Counter)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, *senders: tuple[Shop, Sender]) -> Iterator["Load"]:
        """Send while the block runs."""

        def send(shop: Shop, sender: Sender) -> None:
            with httpx2.Client(base_url=shop.server.url, trust_env=False, verify=False, timeout=30) as client:
                while not self._ended.wait(_PACE_S):
                    try:
                        answer = sender(client)
                    except httpx2.HTTPError as error:
                        self.answers[type(error).__name__] += 1
                    else:
                        self.answers[str(answer.status_code)] += 1

        threads = [threading.Thread(target=send, args=each) for each in senders]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more were answered."""
        goal = self.answers.total() + count
        wait_for(lambda: self.answers.total() >= goal, PATIENCE_S, f"no {count} more answers: {self.answers}")


def customers(shop: Shop) -> tuple[Shop, Sender]:
    """A sender of customers' messages."""
    headers = {"token": shop.world.token}
    return shop, lambda client: client.post(WIDGET, json=shop.body(), headers=headers)


def colleague(shop: Shop, thread_id: str) -> tuple[Shop, Sender]:
    """A sender of replies."""
    body, headers = {"customerThreadId": thread_id, "text": "We look into it."}, {"token": shop.world.token}
    return shop, lambda client: client.post(REPLY, json=body, headers=headers)
