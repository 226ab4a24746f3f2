"""Which requests the client repeats, when it gives up, and what it raises."""

import logging
import socket
import time
from typing import Any

import pytest

from both_clients import BOTH_CLIENTS, Send
from relay import Fault, Relay, relay
from shopbell_client import (
    Conflict,
    NotFound,
    ProblemError,
    RateLimited,
    Shopbell,
    TemporarilyUnavailable,
    UnexpectedResponse,
    Unreachable,
)

DROPPED = Fault()
RESET = Fault(-1)
UNAVAILABLE = Fault(503, (("Retry-After", "0"),))
BUSY = Fault(429, (("Retry-After", "0"),))
LATE = Fault(408)
SENT = Fault(200, body=b'{"result": "ok", "customerThreadId": "1"}')
TOKEN = "sb_live_never_to_be_seen"
SECRET_TEXT = "the number of my safe is twelve"


@pytest.fixture(params=BOTH_CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    """Sends a message with one of the clients."""
    function: Send = request.param
    return function


def failing(fault: Fault, send: Send, **options: Any) -> tuple[ProblemError | Exception, Relay]:
    """Return the exception that is raised if every attempt fails in one way, and the relay."""
    with relay() as server:
        server.faults = [fault] * 20
        with pytest.raises(Exception, match=r".") as raised:
            send(server.url, TOKEN, "12345", SECRET_TEXT, email="carol@example.com", options=options)
        return raised.value, server


@pytest.mark.parametrize(
    ("fault", "exception"),
    [
        (DROPPED, Unreachable),
        (RESET, Unreachable),
        (UNAVAILABLE, TemporarilyUnavailable),
        (Fault(502), TemporarilyUnavailable),
        (Fault(504), TemporarilyUnavailable),
        (BUSY, RateLimited),
        (LATE, ProblemError),
    ],
)
def test_temporary_failures_are_retried_up_to_the_given_number_of_attempts(
    fault: Fault, exception: type[Exception], send: Send
) -> None:
    error, server = failing(fault, send, attempts=3)
    assert isinstance(error, exception)
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_permanent_failures_are_not_retried(status: int, send: Send) -> None:
    error, server = failing(Fault(status), send)
    assert isinstance(error, ProblemError)
    assert error.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [204, 302, 307])
def test_redirects_are_not_followed(status: int, send: Send) -> None:
    body = b"" if status == 204 else SENT.body
    error, server = failing(Fault(status, (("Location", "/elsewhere"),), body), send)
    assert isinstance(error, UnexpectedResponse)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"result": "ok"}', b'{"customerThreadId": []}', b"[" * 9_999]
)
def test_a_200_with_an_unexpected_body_is_an_error(body: bytes, send: Send) -> None:
    error, _ = failing(Fault(200, body=body), send)
    assert isinstance(error, UnexpectedResponse)


@pytest.mark.parametrize("errors", [b"1", b"{}", b'"blank"', b"null", b"[1]"])
def test_problem_details_with_an_unexpected_shape_are_a_problem_all_the_same(errors: bytes, send: Send) -> None:
    error, _ = failing(Fault(400, body=b'{"type": "/problems/validation-error", "errors": ' + errors + b"}"), send)
    assert isinstance(error, ProblemError)
    assert (error.status, error.errors) == (400, ())


def test_the_client_waits_as_long_as_the_server_asks(send: Send) -> None:
    with relay() as server:
        server.faults = [Fault(503, (("Retry-After", "1"),)), SENT]
        began_s = time.monotonic()
        send(server.url, TOKEN, "12345", "Hello", email="carol@example.com")
    assert time.monotonic() - began_s >= 1


@pytest.mark.parametrize("retry_after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_the_client_does_not_wait_longer_than_the_total_timeout(retry_after: str, send: Send) -> None:
    began_s = time.monotonic()
    error, server = failing(Fault(503, (("Retry-After", retry_after),)), send, total_timeout_s=30)
    assert isinstance(error, TemporarilyUnavailable)
    assert error.retry_after_s is not None
    assert error.retry_after_s >= 3600
    assert len(server.requests) == 1
    assert time.monotonic() - began_s < 30


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1e9", "²", "Fri, 31 Dec 2100 23:59:59", ""])
def test_an_invalid_retry_after_is_ignored(retry_after: str, send: Send) -> None:
    with relay() as server:
        server.faults = [Fault(503, (("Retry-After", retry_after.encode().decode("latin-1")),))] * 2
        with pytest.raises(TemporarilyUnavailable) as raised:
            send(server.url, TOKEN, "12345", "Hello", options={"attempts": 2})
    assert raised.value.retry_after_s is None
    assert len(server.requests) == 2


def test_an_attempt_that_times_out_is_repeated_with_the_same_key(send: Send) -> None:
    with relay() as server:
        server.faults = [Fault(hold_s=30), *[SENT] * 50]
        options = {"timeout_s": 2, "total_timeout_s": 60, "attempts": 50}
        assert send(server.url, TOKEN, "12345", "Hello", options=options).thread_id == "1"
    assert len(server.requests) >= 2
    assert len(set(server.keys)) == 1


@pytest.mark.parametrize(("timeout_s", "total_timeout_s", "most"), [(0.3, 2, 7), (30, 0.5, 1)])
def test_the_client_gives_up_on_a_silent_server_after_the_total_timeout(
    send: Send, timeout_s: float, total_timeout_s: float, most: int
) -> None:
    began_s = time.monotonic()
    options = {"timeout_s": timeout_s, "total_timeout_s": total_timeout_s, "attempts": 100}
    error, server = failing(Fault(hold_s=30), send, **options)
    assert isinstance(error, Unreachable)
    assert len(server.requests) <= most  # on a busy machine, not even one request may arrive in this time
    assert time.monotonic() - began_s < 25


def test_a_refused_connection_is_unreachable(send: Send) -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="ConnectError"):
            send(f"http://127.0.0.1:{bound.getsockname()[1]}", TOKEN, "12345", "Hello", options={"attempts": 2})


@pytest.mark.parametrize("fault", [DROPPED, UNAVAILABLE])
def test_requests_are_repeated_only_if_they_read_or_have_a_key(fault: Fault) -> None:
    with relay() as server, Shopbell(server.url, TOKEN, attempts=2) as shop:
        server.faults = [fault, Fault(404)]
        with pytest.raises(NotFound):
            shop.thread_details("9999")
        server.faults = [fault, Fault(409)]
        with pytest.raises((Unreachable, TemporarilyUnavailable)):
            shop.update_thread_status("9999", "resolved")
        server.faults = [fault, Fault(409)]
        with pytest.raises(Conflict):
            shop.send_message("9999", "Hello")
    assert [request[":path"].partition("?")[0].rpartition("/")[2] for request in server.requests] == [
        "get-customer-thread-details",
        "get-customer-thread-details",
        "update-thread-status",
        "send-message-to-customer-thread",
        "send-message-to-customer-thread",
    ]


@pytest.mark.parametrize("fault", [DROPPED, UNAVAILABLE, Fault(401), Fault(500, body=SECRET_TEXT.encode())])
def test_errors_and_logs_contain_no_token_text_or_address(
    fault: Fault, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    for logger in ("shopbell_client", "stamina"):
        caplog.set_level(logging.DEBUG, logger=logger)
    error, _ = failing(fault, send, attempts=2)
    text = f"{error} {error!r} {vars(error)} {caplog.text}"
    assert not [word for word in (TOKEN, SECRET_TEXT, "twelve", "carol") if word in text]
