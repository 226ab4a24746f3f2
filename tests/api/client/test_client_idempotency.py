"""One call of the client stores one message, whatever fails in between."""

import pytest

from both_clients import BOTH_CLIENTS, Send
from harness.shop import Shop
from relay import Fault, relay

DROPPED = Fault()
RESET = Fault(-1)
LOST = Fault(after=True)
LOST_BY_PROXY = Fault(502, after=True, body=b"<html>Bad gateway</html>")
UNAVAILABLE = Fault(503, (("Retry-After", "0"),))
BUSY = Fault(429, (("Retry-After", "0"),))
LATE = Fault(408)


@pytest.fixture(params=BOTH_CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    """Sends a message with one of the clients."""
    function: Send = request.param
    return function


@pytest.mark.parametrize(
    "faults",
    [[LOST], [LOST_BY_PROXY], [DROPPED, LOST], [RESET, UNAVAILABLE, LOST], [BUSY, LATE, LOST]],
    ids=["lost", "lost by a proxy", "dropped, lost", "reset, unavailable, lost", "busy, late, lost"],
)
def test_one_call_stores_one_message_whatever_fails(shop: Shop, send: Send, faults: list[Fault]) -> None:
    with relay(shop.server.url) as server:
        server.faults = list(faults)
        sent = send(server.url, shop.world.token, shop.world.boston, "Hello", email=shop.somebody())
    assert [message["body"] for message in shop.messages(sent.thread_id)] == ["Hello"]
    assert sent.replayed
    assert len(server.requests) == len(faults) + 1
    assert server.keys[0]
    assert len(set(server.keys)) == 1


def test_two_calls_store_two_messages_unless_they_have_the_same_key(shop: Shop, send: Send) -> None:
    arguments = (shop.server.url, shop.world.token, shop.world.boston, "Hello")
    email = shop.somebody()
    first, second = (send(*arguments, email=email) for _ in range(2))
    assert first.thread_id == second.thread_id
    assert len(shop.messages(first.thread_id)) == 2
    for replayed in (False, True):
        assert send(*arguments, email=email, idempotency_key=f"key-of-{email}").replayed is replayed
    assert len(shop.messages(first.thread_id)) == 3
