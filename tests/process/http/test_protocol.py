"""The server around an application: errors, pipelining and disconnects."""

import json
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.bare_app import CANARY
from harness.bare_server import BareServer, get
from harness.raw_connection import HOST, MIB, Wire, is_refusal, peak_bytes, request
from shopbell.errors import FieldError, Invalid, QuotaExceeded, RequestError
from shopbell.http.request.errors import MethodNotAllowed
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.problems import Problems
from shopbell.http.server.request_id import new_request_id, request_id_of

CONNECTIONS = 64
PREFIXES = ["", "/direct"]
"""Of the routes of the ASGI application, and of the direct ones."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BareServer]:
    """The small application, served."""
    server = BareServer(tmp_path, shutdown_timeout_s=1, header_limit_bytes=2_048)
    yield server
    if server.process.poll() is None:
        assert server.end() == 0, server.log


def test_application_errors_are_answered_and_bugs_are_logged_without_their_text(server: BareServer) -> None:
    own = str(uuid.uuid4())
    with Wire(server.port) as wire:
        answer = wire.send(get("/problem", f"X-Request-Id: {own}")).answer()
        assert is_refusal(answer, 409, "conflict")
        assert answer.header("x-request-id") == own
    for path in ("/bug", "/silence", "/split"):
        with Wire(server.port) as wire:
            answer = wire.send(get(path)).answer()
            assert is_refusal(answer, 500, "internal-error")
            assert str(answer.header("x-request-id")) in server.log
            assert wire.is_closed()
    with Wire(server.port) as wire:
        assert wire.send(get("/half")).rest().endswith(b"\r\n\r\nhalf")  # cut off, so that the client can tell
    assert "ValueError" in server.log
    assert CANARY not in server.log


def test_programmatic_settings_reach_the_factory(server: BareServer) -> None:
    with Wire(server.port) as wire:
        assert wire.send(get("/header-limit")).answer().json() == 2_048


def test_a_refusal_is_sent_after_pending_responses(server: BareServer) -> None:
    with Wire(server.port) as wire:
        wire.send(get("/slow"), get("/echo"), b"GET /" + b"a" * 3_000)
        assert wire.answer().json() == "slow"
        assert wire.answer().json() == ""
        assert is_refusal(wire.answer(), 431, "header-fields-too-large")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_pipelined_body_goes_to_its_own_request(server: BareServer, prefix: str) -> None:
    with Wire(server.port) as wire:
        bodies = ["a" * 10, "b" * 100_000, "", "c" * 500_000]
        wire.send(get(f"{prefix}/slow"), *(request(body.encode(), path=f"{prefix}/echo") for body in bodies))
        assert wire.answer().json() == "slow"
        assert [wire.answer().json() for _ in bodies] == bodies


@pytest.mark.parametrize("behind", [b"", get("/slow")], ids=["alone", "with another request behind"])
@pytest.mark.parametrize("leave", [Wire.end, Wire.reset])
def test_a_request_is_told_that_its_client_disconnected(
    server: BareServer, behind: bytes, leave: Callable[[Wire], Wire]
) -> None:
    with Wire(server.port) as watch:
        with Wire(server.port) as wire:
            wire.send(get("/wait") + behind)
            while watch.send(get("/told")).answer().json() != ["waiting"]:
                pass
            leave(wire)
        deadline_s = time.monotonic() + 60
        while watch.send(get("/told")).answer().json() != ["waiting", "http.disconnect"]:
            assert time.monotonic() < deadline_s, "the request still waits"


def test_a_request_that_exceeds_the_shutdown_deadline_is_a_503_and_the_exit_code_is_0(server: BareServer) -> None:
    with Wire(server.port) as wire:
        wire.send(get("/forever"))
        with Wire(server.port) as other:
            assert other.send(get("/told")).answer().status == 200  # so the first one is under way
        assert server.end() == 0
        assert is_refusal(wire.answer(), 503, "temporarily-unavailable")


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    server = BareServer(tmp_path, shutdown_timeout_s=60)
    with Wire(server.port) as wire:
        wire.send(get("/forever"))
        with Wire(server.port) as other:
            assert other.send(get("/told")).answer().status == 200
        server.process.send_signal(signal.SIGINT)
        while not _is_closed(server.port):
            pass
        assert server.process.poll() is None, "the first one must wait for the request"
        assert server.end(signal.SIGINT) == 130


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_client_that_never_reads_costs_little_memory_and_time(server: BareServer, prefix: str) -> None:
    with Wire(server.port) as stranger, Wire(server.port) as wire:
        stranger.send(*[get(f"{prefix}/echo") * 500] * 4)
        for _ in range(20):
            assert wire.send(request(b"hello", path=f"{prefix}/echo")).answer().json() == "hello"
        for _ in range(2_000):
            assert stranger.answer().status == 200


def _grown_bytes(server: BareServer, first: bytes, each: bytes) -> int:
    """How much memory a server takes beyond what it had when 64 connections together send 17 MB behind a request."""
    before = peak_bytes(server.process.pid, reset=True)
    with ExitStack() as stack, Wire(server.port) as watch:
        for _ in range(CONNECTIONS):
            stack.enter_context(Wire(server.port)).send(first, each * (17 * MIB // CONNECTIONS // len(each)))
        for _ in range(20):  # each answer comes after another look at all connections
            assert watch.send(get("/told")).answer().status == 200
        return peak_bytes(server.process.pid) - before


@pytest.mark.parametrize(
    "each",
    [get("/told"), get("/direct/echo"), b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"\r\n"],
    ids=["usual", "direct", "shortest", "empty lines"],
)
@pytest.mark.parametrize(
    "first", [get("/forever"), get("/direct/forever"), b""], ids=["behind ASGI", "behind a direct route", "alone"]
)
def test_pipelined_requests_take_little_memory(server: BareServer, first: bytes, each: bytes) -> None:
    assert _grown_bytes(server, first, each) < 64 * MIB


def test_control_parsing_all_pipelined_requests_takes_much_memory(tmp_path: Path) -> None:
    server = BareServer(tmp_path, "parse-all", shutdown_timeout_s=1)
    try:
        assert _grown_bytes(server, get("/forever"), get("/told")) > 128 * MIB
    finally:
        assert server.end() == 0


@pytest.mark.parametrize("prefixes", [PREFIXES, ["/direct"]], ids=["of both kinds", "direct"])
def test_pipelined_requests_of_all_sizes_are_answered_in_order(server: BareServer, prefixes: list[str]) -> None:
    chooser = random.Random(0)
    bodies = ["x" * chooser.choice((0, 1, 100, 2_000, 2_048, 5_000)) + str(place) for place in range(500)]
    sent = b"".join(request(body.encode(), path=f"{chooser.choice(prefixes)}/echo") for body in bodies)
    with Wire(server.port) as wire:
        while sent:
            size_bytes = chooser.choice((1, 50, 2_048, 10_000, 100_000))
            wire.send(sent[:size_bytes])
            sent = sent[size_bytes:]
        assert [wire.answer().json() for _ in bodies] == bodies


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_http_1_0_responses_are_not_chunked(server: BareServer, method: str) -> None:
    with Wire(server.port) as wire:
        wire.send(f"{method} /parts HTTP/1.0\r\n\r\n".encode())
        head, _, body = wire.rest().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        assert body == (b"one,two" if method == "GET" else b"")


def test_http_1_1_responses_are_chunked(server: BareServer) -> None:
    with Wire(server.port) as wire:
        head, _, body = wire.send(get("/parts", "Connection: close")).rest().partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == b"4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_too_large_headers_are_refused_even_in_small_pieces(server: BareServer) -> None:
    with Wire(server.port) as wire:
        head = b"GET /echo HTTP/1.1\r\n" + HOST + b"X-Note: " + b"a" * 2_048
        answer = wire.send(*(bytes([byte]) for byte in head)).answer()
        assert is_refusal(answer, 431, "header-fields-too-large")


@pytest.mark.parametrize(
    ("problem", "members", "headers"),
    [
        (Invalid([FieldError("message", "blank", "must not be blank")]), ["errors"], {}),
        (QuotaExceeded(3), [], {b"retry-after": b"3"}),
        (MethodNotAllowed("POST"), [], {b"allow": b"POST"}),
    ],
)
def test_a_problem_has_its_members_in_order_and_its_headers(
    problem: RequestError, members: list[str], headers: dict[bytes, bytes]
) -> None:
    request_id = new_request_id()
    answer = Problems().render(problem, request_id, [(b"ratelimit", b"x")])
    told = json.loads(answer.body)
    assert list(told) == ["type", "title", "status", "detail", "instance", "developerMessage", *members]
    assert told["status"] == answer.status == problem_type(problem).status
    assert told["instance"] == f"urn:uuid:{request_id}"
    assert dict(answer.headers) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(answer.body)).encode(),
        b"x-request-id": request_id.encode(),
        b"cache-control": b"no-store",
        b"vary": b"token",
        b"x-content-type-options": b"nosniff",
        b"ratelimit": b"x",
        **headers,
    }


def test_new_request_ids_are_random_uuids() -> None:
    ids = [new_request_id() for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    assert all(str(uuid.UUID(one)) == one for one in ids)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(4, uuid.RFC_4122)}


@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [
        (b"0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f", True),
        (b"0193A5D2-6C1E-7C3A-9F0E-2D1B7A4C5E6F", True),
        (b"0193a5d26c1e7c3a9f0e2d1b7a4c5e6f", False),
        (b"{0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f}", False),
        (b"0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f\n", False),
        (b"0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6g", False),
        (b"carol@example.com", False),
        (b"", False),
    ],
)
def test_a_clients_request_id_is_used_only_if_it_is_a_uuid(sent: bytes, is_taken: bool) -> None:
    taken = request_id_of([(b"host", b"x"), (b"x-request-id", sent)])
    assert (taken == sent.decode()) is is_taken
    assert uuid.UUID(taken)


def _is_closed(port: int) -> bool:
    try:
        with Wire(port):
            return False
    except ConnectionError:
        return True
