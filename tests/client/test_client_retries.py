"""What the client tries again, what it leaves, and that one call has one effect: through a relay that fails."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from relay import Fault, Relay, relay

from harness.ports import free_port
from harness.shop import Shop
from shopbell.client import (
    AsyncShopbell,
    Conflict,
    NotFound,
    ProblemError,
    RateLimited,
    Shopbell,
    TemporarilyUnavailable,
    UnexpectedAnswer,
    Unreachable,
)
from shopbell.client.messages import SentMessage

DROPPED = Fault()
RESET = Fault(-1)
LOST = Fault(after=True)
LOST_BY_PROXY = Fault(502, after=True, body=b"<html>Bad gateway</html>")
UNAVAILABLE = Fault(503, (("Retry-After", "0"),))
BUSY = Fault(429, (("Retry-After", "0"),))
LATE = Fault(408)
TOKEN = "sb_live_never_to_be_seen"
SECRET_TEXT = "the number of my safe is twelve"

Send = Callable[..., SentMessage]


@pytest.fixture(params=["synchronous", "asynchronous"])
def send(request: pytest.FixtureRequest) -> Send:
    """Sends one message with a client of either kind."""

    def synchronous(url: str, token: str, *arguments: Any, options: dict[str, Any] | None = None, **named: Any) -> Any:
        with Shopbell(url, token, **(options or {})) as shop:
            return shop.send_message_to_business(*arguments, **named)

    def asynchronous(url: str, token: str, *arguments: Any, options: dict[str, Any] | None = None, **named: Any) -> Any:
        async def run() -> SentMessage:
            async with AsyncShopbell(url, token, **(options or {})) as shop:
                return await shop.send_message_to_business(*arguments, **named)

        return asyncio.run(run())

    return synchronous if request.param == "synchronous" else asynchronous


@pytest.mark.parametrize(
    "faults",
    [[LOST], [LOST_BY_PROXY], [DROPPED, LOST], [RESET, UNAVAILABLE, LOST], [BUSY, LATE, LOST]],
    ids=["lost", "lost by a proxy", "dropped, lost", "reset, unavailable, lost", "busy, late, lost"],
)
def test_one_call_is_one_message_whatever_happens_on_the_way(shop: Shop, send: Send, faults: list[Fault]) -> None:
    with relay(shop.server.url) as before:
        before.faults = list(faults)
        sent = send(before.url, shop.world.token, shop.world.boston, "Hello", email=shop.somebody())
    assert [message["body"] for message in shop.messages(sent.thread_id)] == ["Hello"]
    assert sent.replayed
    assert len(before.requests) == len(faults) + 1
    assert before.keys[0]
    assert len(set(before.keys)) == 1


def test_two_calls_are_two_messages_and_with_one_key_of_the_callers_they_are_one(shop: Shop, send: Send) -> None:
    arguments = (shop.server.url, shop.world.token, shop.world.boston, "Hello")
    email = shop.somebody()
    first, second = (send(*arguments, email=email) for _ in range(2))
    assert first.thread_id == second.thread_id
    assert len(shop.messages(first.thread_id)) == 2
    for replayed in (False, True):
        assert send(*arguments, email=email, idempotency_key=f"key-of-{email}").replayed is replayed
    assert len(shop.messages(first.thread_id)) == 3


def failing(fault: Fault, send: Send, **options: Any) -> tuple[ProblemError | Exception, Relay]:
    """What is raised when everything fails in one way, and what was tried."""
    with relay() as before:
        before.faults = [fault] * 20
        with pytest.raises(Exception, match=r".") as raised:
            send(before.url, TOKEN, "12345", SECRET_TEXT, email="carol@example.com", options=options)
        return raised.value, before


@pytest.mark.parametrize(
    ("fault", "kind"),
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
def test_what_may_pass_is_tried_as_often_as_told(fault: Fault, kind: type[Exception], send: Send) -> None:
    error, before = failing(fault, send, attempts=3)
    assert isinstance(error, kind)
    assert len(before.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_what_will_not_pass_is_not_tried_again(status: int, send: Send) -> None:
    error, before = failing(Fault(status), send)
    assert isinstance(error, ProblemError)
    assert error.status == status
    assert len(before.requests) == 1


@pytest.mark.parametrize("status", [204, 302, 307])
def test_what_is_no_answer_of_shopbell_is_not_followed(status: int, send: Send) -> None:
    said = b"" if status == 204 else b'{"result": "ok", "customerThreadId": "1"}'
    error, before = failing(Fault(status, (("Location", "/elsewhere"),), said), send)
    assert isinstance(error, UnexpectedAnswer)
    assert len(before.requests) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"result": "ok"}', b'{"customerThreadId": []}', b"[" * 9_999]
)
def test_a_200_that_says_something_else_is_no_success(body: bytes, send: Send) -> None:
    error, _ = failing(Fault(200, body=body), send)
    assert isinstance(error, UnexpectedAnswer)


def test_the_server_is_given_the_time_that_it_asks_for(shop: Shop, send: Send) -> None:
    with relay(shop.server.url) as before:
        before.faults = [Fault(503, (("Retry-After", "1"),))]
        began_s = time.monotonic()
        send(before.url, shop.world.token, shop.world.boston, "Hello", email=shop.somebody())
    assert time.monotonic() - began_s >= 1


@pytest.mark.parametrize("retry_after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_no_longer_than_the_caller_has_time_for(retry_after: str, send: Send) -> None:
    began_s = time.monotonic()
    error, before = failing(Fault(503, (("Retry-After", retry_after),)), send, total_timeout_s=30)
    assert isinstance(error, TemporarilyUnavailable)
    assert error.retry_after_s is not None
    assert error.retry_after_s >= 3600
    assert len(before.requests) == 1
    assert time.monotonic() - began_s < 30


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1e9", "²", "Fri, 31 Dec 2100 23:59:59", ""])
def test_a_wait_that_cannot_be_read_is_none(retry_after: str, send: Send) -> None:
    with relay() as before:
        before.faults = [Fault(503, (("Retry-After", retry_after.encode().decode("latin-1")),))] * 2
        with pytest.raises(TemporarilyUnavailable) as raised:
            send(before.url, TOKEN, "12345", "Hello", options={"attempts": 2})
    assert raised.value.retry_after_s is None
    assert len(before.requests) == 2


def test_an_attempt_that_is_not_answered_in_its_time_is_made_again(send: Send) -> None:
    answered = Fault(200, body=b'{"result": "ok", "customerThreadId": "1"}')
    with relay() as before:
        before.faults = [Fault(hold_s=30), *[answered] * 50]
        options = {"timeout_s": 2, "total_timeout_s": 60, "attempts": 50}
        assert send(before.url, TOKEN, "12345", "Hello", options=options).thread_id == "1"
    assert len(before.requests) >= 2
    assert len(set(before.keys)) == 1


@pytest.mark.parametrize(("timeout_s", "total_timeout_s", "most"), [(0.3, 2, 7), (30, 0.5, 1)])
def test_a_server_that_is_silent_is_given_up_in_the_callers_time(
    send: Send, timeout_s: float, total_timeout_s: float, most: int
) -> None:
    began_s = time.monotonic()
    options = {"timeout_s": timeout_s, "total_timeout_s": total_timeout_s, "attempts": 100}
    error, before = failing(Fault(hold_s=30), send, **options)
    assert isinstance(error, Unreachable)
    assert len(before.requests) <= most  # a busy machine may not bring a single one there in so little time
    assert time.monotonic() - began_s < 25


def test_a_server_that_is_not_there_is_unreachable(send: Send) -> None:
    with pytest.raises(Unreachable, match="ConnectError"):
        send(f"http://127.0.0.1:{free_port()}", TOKEN, "12345", "Hello", options={"attempts": 2})


@pytest.mark.parametrize("fault", [DROPPED, UNAVAILABLE])
def test_a_question_is_asked_again_and_a_change_without_a_key_is_not(fault: Fault) -> None:
    with relay() as before, Shopbell(before.url, TOKEN, attempts=2) as shop:
        before.faults = [fault, Fault(404)]
        with pytest.raises(NotFound):
            shop.thread_details("9999")
        before.faults = [fault, Fault(409)]
        with pytest.raises((Unreachable, TemporarilyUnavailable)):
            shop.update_thread_status("9999", "resolved")
        before.faults = [fault, Fault(409)]
        with pytest.raises(Conflict):
            shop.send_message("9999", "Hello")
    assert [request[":path"].partition("?")[0].rpartition("/")[2] for request in before.requests] == [
        "get-customer-thread-details",
        "get-customer-thread-details",
        "update-thread-status",
        "send-message-to-customer-thread",
        "send-message-to-customer-thread",
    ]


@pytest.mark.parametrize("fault", [DROPPED, UNAVAILABLE, Fault(401), Fault(500, body=SECRET_TEXT.encode())])
def test_no_token_text_or_address_is_in_an_error_or_a_log(
    fault: Fault, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="shopbell")
    error, _ = failing(fault, send, attempts=2)
    said = f"{error} {error!r} {vars(error)} {caplog.text}"
    assert not [word for word in (TOKEN, SECRET_TEXT, "twelve", "carol") if word in said]
