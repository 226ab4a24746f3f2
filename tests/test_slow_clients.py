"""Clients that are slow, silent or too many: each is let go in time, and nobody else notices."""

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.installation import Installation
from harness.shop import Shop
from harness.world import World
from wire import HOST, Wire, is_refusal, request

HEADER_TIMEOUT_S = 1.5
BODY_TIMEOUT_S = 2.5
KEEP_ALIVE_TIMEOUT_S = 2
SLACK_S = 15
"""A sweep's half second, and a busy machine."""
EARLY_S = 0.2
LONG_S = 60

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


FAILS_FIRST = """
from shopbell.http.connection import Connection

check, failed = Connection.check, []

def fail_first(self, now_s):
    if not failed:
        failed.append(self)
        raise RuntimeError("canary")
    check(self, now_s)

Connection.check = fail_first
from shopbell.cli import main
main()
"""


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server that is soon out of patience."""
    with installation.serving(
        header_timeout_s=HEADER_TIMEOUT_S,
        body_timeout_s=BODY_TIMEOUT_S,
        keep_alive_timeout_s=KEEP_ALIVE_TIMEOUT_S,
        connection_limit=600,
    ) as server:
        yield Shop(server, people)


def test_each_kind_of_slowness_ends_at_its_deadline(shop: Shop) -> None:
    # One after the other in one test: each is a wait, and a server takes longer to start than all of them.
    port, token = shop.server.port, shop.world.token

    with Wire(port) as wire:  # says nothing
        assert wire.is_closed()
        assert HEADER_TIMEOUT_S - EARLY_S <= wire.open_for_s <= HEADER_TIMEOUT_S + SLACK_S

    with Wire(port) as wire:  # drips headers
        wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST)
        after_s = wire.drip(b"X: y\r\n", every_s=0.1, at_most_s=LONG_S)
        assert wire.open_for_s >= HEADER_TIMEOUT_S - EARLY_S
        assert after_s <= HEADER_TIMEOUT_S + SLACK_S
        assert is_refusal(wire.answer(), 408, "request-timeout")

    with Wire(port) as wire:  # drips the headers of its second request
        wire.send(request(method="GET", path="/healthz"))
        assert wire.answer().status == 200
        after_s = wire.send(b"GET /").drip(b"a", every_s=0.1, at_most_s=LONG_S)
        assert wire.open_for_s >= HEADER_TIMEOUT_S - EARLY_S
        assert after_s <= HEADER_TIMEOUT_S + SLACK_S
        assert is_refusal(wire.answer(), 408, "request-timeout")

    with Wire(port) as wire:  # drips the body
        wire.send(request(b"", "Content-Length: 1000", token=token))
        after_s = wire.drip(b" ", every_s=0.1, at_most_s=LONG_S)
        assert wire.open_for_s >= BODY_TIMEOUT_S - EARLY_S
        assert after_s <= BODY_TIMEOUT_S + SLACK_S
        answer = wire.answer()
        assert is_refusal(answer, 408, "request-timeout")
        assert answer.header("connection") == "close"
        assert wire.end().is_closed()

    with Wire(port) as wire:  # declares more than it sends
        body = json.dumps(shop.body()).encode()
        wire.send(request(body, f"Content-Length: {len(body) + 1}", token=token))
        assert is_refusal(wire.answer(), 408, "request-timeout")

    with Wire(port) as wire:  # drips chunks
        wire.send(request(b"", "Transfer-Encoding: chunked", token=token))
        wire.drip(b"1\r\n \r\n", every_s=0.1, at_most_s=BODY_TIMEOUT_S + SLACK_S)
        assert is_refusal(wire.answer(), 408, "request-timeout")

    with Wire(port) as wire:  # drips a body of which nothing is wanted any more
        wire.send(request(b"", "Content-Length: 1000"))
        assert is_refusal(wire.answer(), 401, "unauthorized")
        after_s = wire.drip(b" ", every_s=0.1, at_most_s=LONG_S)
        assert after_s <= BODY_TIMEOUT_S + SLACK_S

    with Wire(port) as wire:  # asks once and never again
        wire.send(request(method="GET", path="/healthz"))
        assert wire.answer().status == 200
        began_s = time.monotonic()
        assert wire.is_closed()
        assert wire.open_for_s >= KEEP_ALIVE_TIMEOUT_S - EARLY_S
        assert time.monotonic() - began_s <= KEEP_ALIVE_TIMEOUT_S + SLACK_S

    with Wire(port) as wire:  # drips line breaks between requests
        wire.send(request(method="GET", path="/healthz"))
        assert wire.answer().status == 200
        assert wire.drip(b"\r\n", every_s=0.1, at_most_s=LONG_S) <= KEEP_ALIVE_TIMEOUT_S + SLACK_S
        assert wire.rest() == b""

    assert shop.count("messages") == 0
    assert shop.server.is_running()


def test_500_dripping_connections_keep_nobody_from_being_answered(shop: Shop) -> None:
    heads = (
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Slow: ",
        request(b"", "Content-Length: 250000", token=shop.world.token),
    )
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        slow = []
        for place in range(500):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", shop.server.port), timeout=LONG_S))
            connection.sendall(heads[place % 2])
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
            slow.append(connection)
        ended: dict[socket.socket, bytes] = {}
        answered = 0
        began_s = time.monotonic()
        while len(ended) < len(slow) or answered < 200:
            assert time.monotonic() - began_s < 2 * LONG_S, f"{len(slow) - len(ended)} are still waited for"
            shop.send()
            answered += 1
            for connection in slow:
                if connection not in ended:
                    _drip(connection)
            for key, _ in selector.select(0):
                connection = key.fileobj  # type: ignore[assignment]
                ended[connection] = connection.recv(4_096)
                selector.unregister(connection)
        assert answered >= 200
        assert {answer.split(b"\r\n")[0] for answer in ended.values()} == {b"HTTP/1.1 408 Request Timeout"}
    assert shop.count("messages") == answered


def _drip(connection: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError, ConnectionError):  # its answer is there, and will be read
        connection.send(b"a")


def test_too_many_connections_are_a_503_until_some_have_gone(
    installation: Installation, people: World, engine: str
) -> None:
    with installation.serving(connection_limit=16) as server, ExitStack() as stack:
        server.client.close()
        held = [stack.enter_context(Wire(server.port)) for _ in range(16)]
        for wire in held:
            assert wire.send(request(method="GET", path="/healthz")).answer().status == 200
        with Wire(server.port) as stranger:
            answer = stranger.send(request(method="GET", path="/healthz")).answer()
            assert is_refusal(answer, 503, "temporarily-unavailable")
            assert int(answer.header("retry-after") or 0) >= 1
            assert stranger.end().is_closed()
        for wire in held[:8]:
            assert wire.end().is_closed()
        with Wire(server.port) as wire:
            assert wire.send(request(method="GET", path="/healthz")).answer().status == 200
        for wire in held[8:]:
            assert wire.send(request(method="GET", path="/healthz")).answer().status == 200


def test_a_bug_with_one_connection_ends_no_other_deadline(installation: Installation) -> None:
    installation.server_program = ("-c", FAILS_FIRST)
    with installation.serving(header_timeout_s=HEADER_TIMEOUT_S, log_format="json") as server:
        with Wire(server.port) as first, Wire(server.port) as second:
            assert first.is_closed()
            assert second.is_closed()
        assert '"job":"keep deadlines"' in server.log
        assert "canary" not in server.log
