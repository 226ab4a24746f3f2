"""Slow, silent and excess clients are dropped without affecting others."""

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from harness.installation import Installation
from harness.raw_connection import HOST, Wire, is_refusal, request
from harness.shop import Shop
from harness.world import World

HEADER_TIMEOUT_S = 1.5
BODY_TIMEOUT_S = 2.5
KEEP_ALIVE_TIMEOUT_S = 2
SLACK_S = 15
"""A sweep's half second, and a busy machine."""
EARLY_S = 0.2
LONG_S = 60

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


FAILS_FIRST = """
from shopbell.http.server.connection import Connection

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


def test_each_kind_of_slow_client_ends_at_its_deadline(shop: Shop) -> None:
    # All at once in one test: each is a wait, and a server takes longer to start than all of them.
    with ThreadPoolExecutor(len(SLOW_CLIENTS)) as threads:
        for client in [threads.submit(client, shop) for client in SLOW_CLIENTS]:
            client.result()
    assert shop.count("messages") == 0
    assert shop.server.is_running()


def _says_nothing(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        assert wire.is_closed()
        assert HEADER_TIMEOUT_S - EARLY_S <= wire.open_for_s <= HEADER_TIMEOUT_S + SLACK_S


def _drips_headers(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST)
        after_s = wire.drip(b"X: y\r\n", every_s=0.1, at_most_s=LONG_S)
        assert wire.open_for_s >= HEADER_TIMEOUT_S - EARLY_S
        assert after_s <= HEADER_TIMEOUT_S + SLACK_S
        assert is_refusal(wire.answer(), 408, "request-timeout")


def _drips_headers_of_its_second_request(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(request(method="GET", path="/healthz"))
        assert wire.answer().status == 200
        after_s = wire.send(b"GET /").drip(b"a", every_s=0.1, at_most_s=LONG_S)
        assert wire.open_for_s >= HEADER_TIMEOUT_S - EARLY_S
        assert after_s <= HEADER_TIMEOUT_S + SLACK_S
        assert is_refusal(wire.answer(), 408, "request-timeout")


def _drips_the_body(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(request(b"", "Content-Length: 1000", token=shop.world.token))
        after_s = wire.drip(b" ", every_s=0.1, at_most_s=LONG_S)
        assert wire.open_for_s >= BODY_TIMEOUT_S - EARLY_S
        assert after_s <= BODY_TIMEOUT_S + SLACK_S
        answer = wire.answer()
        assert is_refusal(answer, 408, "request-timeout")
        assert answer.header("connection") == "close"
        assert wire.end().is_closed()


def _declares_more_than_it_sends(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        body = json.dumps(shop.body()).encode()
        wire.send(request(body, f"Content-Length: {len(body) + 1}", token=shop.world.token))
        assert is_refusal(wire.answer(), 408, "request-timeout")


def _drips_chunks(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(request(b"", "Transfer-Encoding: chunked", token=shop.world.token))
        wire.drip(b"1\r\n \r\n", every_s=0.1, at_most_s=BODY_TIMEOUT_S + SLACK_S)
        assert is_refusal(wire.answer(), 408, "request-timeout")


def _drips_an_unwanted_body(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(request(b"", "Content-Length: 1000"))
        assert is_refusal(wire.answer(), 401, "unauthorized")
        after_s = wire.drip(b" ", every_s=0.1, at_most_s=LONG_S)
        assert after_s <= BODY_TIMEOUT_S + SLACK_S


def _sends_one_request_only(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(request(method="GET", path="/healthz"))
        assert wire.answer().status == 200
        began_s = time.monotonic()
        assert wire.is_closed()
        assert wire.open_for_s >= KEEP_ALIVE_TIMEOUT_S - EARLY_S
        assert time.monotonic() - began_s <= KEEP_ALIVE_TIMEOUT_S + SLACK_S


def _drips_line_breaks_between_requests(shop: Shop) -> None:
    with Wire(shop.server.port) as wire:
        wire.send(request(method="GET", path="/healthz"))
        assert wire.answer().status == 200
        assert wire.drip(b"\r\n", every_s=0.1, at_most_s=LONG_S) <= KEEP_ALIVE_TIMEOUT_S + SLACK_S
        assert wire.rest() == b""


SLOW_CLIENTS = (
    _says_nothing,
    _drips_headers,
    _drips_headers_of_its_second_request,
    _drips_the_body,
    _declares_more_than_it_sends,
    _drips_chunks,
    _drips_an_unwanted_body,
    _sends_one_request_only,
    _drips_line_breaks_between_requests,
)


def test_500_slow_connections_do_not_prevent_responses(shop: Shop) -> None:
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


def test_too_many_connections_are_a_503_until_some_close(
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


def test_a_bug_in_one_connection_stops_no_other_deadline(installation: Installation) -> None:
    installation.server_program = ("-c", FAILS_FIRST)
    with installation.serving(header_timeout_s=HEADER_TIMEOUT_S, log_format="json") as server:
        with Wire(server.port) as first, Wire(server.port) as second:
            assert first.is_closed()
            assert second.is_closed()
        assert '"job":"check deadlines"' in server.log
        assert "canary" not in server.log
