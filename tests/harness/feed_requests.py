"""Requests to the event feed, with and without waiting."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from harness.shop import Shop

EVENTS = "/api/events"
SOON_S = 20
"""Less than any request here waits for, and more than a busy machine takes."""


def ask_feed(shop: Shop, *, token: str = "", **query: Any) -> httpx2.Response:
    """Request events."""
    return shop.server.client.get(EVENTS, params=query, headers={"token": token or shop.world.token})


def read_feed(shop: Shop, *, token: str = "", **query: Any) -> dict[str, Any]:
    """Read a page of events."""
    answer = ask_feed(shop, token=token, **query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def last_position(shop: Shop, *, token: str = "") -> int:
    """Return the position of the newest event."""
    page = read_feed(shop, token=token, after="latest")
    assert (page["events"], page["hasMore"], page["truncated"]) == ([], False, False)
    position: int = page["lastPosition"]
    return position


@contextmanager
def waiting_request(shop: Shop, *, token: str = "", **query: Any) -> Iterator[socket.socket]:
    """Send a request that waits for events; gives its connection."""
    path = httpx2.URL(EVENTS, params=query | {"waitSeconds": 30})
    with socket.create_connection(("127.0.0.1", shop.server.port), timeout=SOON_S) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\ntoken: {token or shop.world.token}\r\n\r\n".encode())
        yield wire


def response_page(wire: socket.socket) -> dict[str, Any]:
    """Read the response of a request that waited."""
    with wire.makefile("rb") as answer:
        assert answer.readline().startswith(b"HTTP/1.1 200 ")
        headers = dict(line.strip().lower().split(b": ", 1) for line in iter(answer.readline, b"\r\n"))
        page: dict[str, Any] = json.loads(answer.read(int(headers[b"content-length"])))
        return page
