"""Direct routes: requests that are handled without ASGI."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bare_app import CANARY
from harness.bare_server import BareServer, get
from harness.raw_connection import Wire, is_refusal, request
from harness.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BareServer]:
    """The small application, served."""
    server = BareServer(tmp_path, shutdown_timeout_s=1, body_timeout_s=2)
    yield server
    if server.process.poll() is None:
        assert server.end() == 0, server.log


@pytest.mark.parametrize("name", ["bug", "bug-after-the-body", "bug-in-a-task", "bug-after-a-task", "split"])
def test_an_error_in_any_step_of_a_direct_route_is_answered(server: BareServer, name: str) -> None:
    with Wire(server.port) as wire:
        answer = wire.send(request(b"hello", path=f"/direct/{name}")).answer()
        assert is_refusal(answer, 500, "internal-error")
        assert wire.send(request(b"hello", path="/direct/echo")).answer().json() == "hello"
    assert str(answer.header("x-request-id")) in server.log
    assert "Error" in server.log
    assert CANARY not in server.log


def test_a_refusal_of_a_direct_route_has_the_headers_of_its_route(server: BareServer) -> None:
    with Wire(server.port) as wire:
        answer = wire.send(get("/direct/problem")).answer()
        assert is_refusal(answer, 409, "conflict")
        assert answer.header("x-note") == "a"
        assert answer.header("connection") is None


def test_a_second_response_to_a_direct_request_is_not_sent(server: BareServer) -> None:
    with Wire(server.port) as wire:
        wire.send(get("/direct/twice") + get("/direct/at-once"))
        assert [wire.answer().json() for _ in range(2)] == ["one", "at once"]
    assert server.log.count("noted GET /direct/twice 200") == 1


def test_direct_responses_to_pipelined_requests_are_in_order(server: BareServer) -> None:
    names = ["at-once", "slow", "echo", "at-once"] * 3
    sent = b"".join(request(b"hello", path=f"/direct/{name}") for name in names)
    with Wire(server.port) as wire:
        answers = {"at-once": "at once", "slow": "slow", "echo": "hello"}
        assert [wire.send(sent).answer().json() for _ in names[:1]] == ["at once"]
        assert [wire.answer().json() for _ in names[1:]] == [answers[name] for name in names[1:]]


def test_a_thousand_pipelined_direct_requests_are_answered(server: BareServer) -> None:
    # More than the levels of calls that Python allows: no response is sent from within another.
    with Wire(server.port) as wire:
        wire.send(get("/direct/at-once") * 5_000)
        assert all(wire.answer().json() == "at once" for _ in range(5_000))


@pytest.mark.parametrize("name", ["echo", "at-once"])
def test_a_direct_request_with_a_slow_body_is_answered(server: BareServer, name: str) -> None:
    whole = request(b"hello", path=f"/direct/{name}")
    with Wire(server.port) as wire:
        for _ in range(3):
            wire.send(*(bytes([byte]) for byte in whole))
            assert wire.answer().json() == {"echo": "hello", "at-once": "at once"}[name]


def test_a_direct_request_with_an_incomplete_body_is_a_408(server: BareServer) -> None:
    with Wire(server.port) as wire:
        answer = wire.send(request(b"hello", path="/direct/echo")[:-1]).answer()
        assert is_refusal(answer, 408, "request-timeout")
        assert answer.header("connection") == "close"
        assert wire.is_closed()
    assert "noted POST /direct/echo 408" in server.log


@pytest.mark.parametrize("sends_head_only", [True, False])
def test_a_body_over_the_limit_of_a_direct_route_is_a_413(server: BareServer, sends_head_only: bool) -> None:
    whole = request(b"a" * 1_000_001, path="/direct/echo")
    chunked = request(b"", "Transfer-Encoding: chunked", path="/direct/echo")
    with Wire(server.port) as wire:
        if sends_head_only:
            wire.send(whole[:200])
        else:
            wire.send(chunked, b"186A1\r\n" + b"a" * 100_001 + b"\r\n", *[b"186A0\r\n" + b"a" * 100_000 + b"\r\n"] * 9)
        assert is_refusal(wire.answer(), 413, "content-too-large")


def test_a_client_that_leaves_during_its_body_gets_no_response(server: BareServer) -> None:
    with Wire(server.port) as wire:
        wire.send(request(b"hello", path="/direct/echo")[:-1])
        wire.reset()
    with Wire(server.port) as wire:
        assert wire.send(request(b"hello", path="/direct/echo")).answer().json() == "hello"
    assert server.end() == 0
    assert server.log.count("noted") == 1


def test_a_direct_response_to_a_client_that_left_is_noted(server: BareServer) -> None:
    with Wire(server.port) as wire:
        wire.send(get("/direct/slow"))
        wire.reset()
    wait_until(lambda: "noted GET /direct/slow 200" in server.log, lambda: server.log)


@pytest.mark.parametrize("name", ["forever", "forever-in-a-task", "echo"])
def test_a_direct_request_that_exceeds_the_shutdown_deadline_is_a_503(server: BareServer, name: str) -> None:
    with Wire(server.port) as wire:
        wire.send(request(b"hello", path=f"/direct/{name}")[: -1 if name == "echo" else None])
        with Wire(server.port) as other:
            assert other.send(get("/told")).answer().status == 200  # so the first one is under way
        assert server.end() == 0
        answer = wire.answer()
    # A body that is still arriving has a second after SIGTERM, and this may end first.
    assert is_refusal(answer, 503, "temporarily-unavailable") or (name == "echo" and answer.status == 408)
    assert f"noted POST /direct/{name} {answer.status}" in server.log
