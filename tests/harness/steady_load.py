"""Clients that send messages one after the other, also while a server restarts."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.raw_connection import Wire, request
from harness.shop import WIDGET
from harness.waiting import wait_until

PACE_S = 0.01
TIMEOUT_S = 240
"""Seconds until a client gives up: a busy machine may take long to start a server."""


def wires_to(port: int) -> Callable[[], Wire]:
    """Open connections to a server on this machine."""
    return lambda: Wire(port, timeout_s=TIMEOUT_S)


class Load:
    """Clients that send messages: half of them keep their connections, the others open one for each message.

    Args:
        new_wire: opens a connection.
        business: the id of the business that gets the messages.
        token: the token of its organization.
        host: the value of the header.
        path: what the path begins with.
    """

    def __init__(
        self, new_wire: Callable[[], Wire], business: str, token: str, *, host: str = "127.0.0.1", path: str = ""
    ) -> None:
        self._new_wire = new_wire
        body = {"businessId": business, "message": "Hello", "user": {"email": "carol@example.com"}}
        sent = request(json.dumps(body).encode(), token=token, path=path + WIDGET)
        self._request = sent.replace(b"Host: 127.0.0.1\r\n", f"Host: {host}\r\n".encode())
        self._stop = threading.Event()
        self.statuses: list[int] = []
        self.failures: list[str] = []
        self.longest_s = 0.0

    def wait_until_sent(self, count: int) -> None:
        """Wait until so many messages were answered, or one failed."""
        wait_until(
            lambda: len(self.statuses) >= count or self.failures,
            lambda: f"only {len(self.statuses)} messages were answered",
            TIMEOUT_S,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the block runs."""
        threads = [threading.Thread(target=self._send, args=(keeps,)) for keeps in (True, False) * 3]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _send(self, keeps: bool) -> None:
        while not self._stop.is_set():
            try:
                with self._new_wire() as wire:
                    while self._send_one(wire) and keeps:
                        pass
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                self._stop.wait(PACE_S)

    def _send_one(self, wire: Wire) -> bool:
        """Send a message, and return whether the connection can be used again."""
        began_s = time.monotonic()
        answer = wire.send(self._request).answer()
        self.statuses.append(answer.status)
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)
        return answer.header("connection") != "close" and not self._stop.wait(PACE_S)
