"""A stopping server answers long polls."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from select import select
from typing import Any

import pytest

from harness.feed_requests import SOON_S, last_position, response_page, waiting_request
from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

WAITING_PER_TOKEN = 16


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A shared server that delivers nothing: what became of another test's reply would be news a minute later."""
    return shops(engine, run_worker=False)


def _until(condition: Any) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _fill(shop: Shop, stack: ExitStack, after: int, token: str = "") -> list[socket.socket]:
    """Let as many requests wait as may, and return their sockets."""
    wires = [stack.enter_context(waiting_request(shop, after=after, token=token)) for _ in range(WAITING_PER_TOKEN + 4)]
    _until(lambda: len(select(wires, [], [], 0)[0]) >= 4)
    refused = select(wires, [], [], 0)[0]
    assert [wire.recv(65_536)[:13] for wire in refused] == [b"HTTP/1.1 429 "] * 4
    return [wire for wire in wires if wire not in refused]


def test_a_stopping_server_answers_long_polls_at_once(installation: Installation, people: World) -> None:
    with installation.serving() as server:
        shop = Shop(server, people)
        before = last_position(shop)
        with ExitStack() as stack:
            wire, *_ = _fill(shop, stack, before)
            began_s = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - began_s < SOON_S
            page = response_page(wire)
    assert (page["events"], page["lastPosition"]) == ([], before)
