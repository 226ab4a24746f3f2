"""Each event tells who caused it: in the feed, in the stream and in webhooks."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import Hired, hire
from harness.shop import Shop
from harness.streams import following
from shopbell.accounts.roles import Roles

SYSTEM = {"type": "system", "id": None}
REPLY = "/api/send-message-to-customer-thread"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


@pytest.fixture
def alice(shop: Shop) -> Hired:
    """An owner."""
    return hire(shop, roles=Roles("owner"))


def _position(shop: Shop) -> int:
    return int(_get(shop, "/api/events?after=latest")["lastPosition"])


def _get(shop: Shop, path: str) -> Any:
    return shop.server.client.get(path, headers={"token": shop.world.token}).json()


def _since(shop: Shop, position: int) -> list[tuple[str, dict[str, Any]]]:
    """Type and actor of the events after a position."""
    return [(each["type"], each["actor"]) for each in _get(shop, f"/api/events?after={position}")["events"]]


def _employee(alice: Hired) -> dict[str, str]:
    return {"type": "employee", "id": str(alice.id)}


def _token(shop: Shop) -> dict[str, str]:
    return {"type": "token", "id": shop.world.token_id}


def test_a_customer_causes_their_messages_and_an_employee_or_a_token_the_replies(shop: Shop, alice: Hired) -> None:
    position = _position(shop)
    thread_id = shop.send()
    carol = {"type": "customer", "id": str(shop.customer_of(thread_id))}
    body = {"customerThreadId": thread_id, "text": "Hello."}
    assert alice.browser.call(REPLY, body).status_code == 200
    assert shop.post(body, path=REPLY).status_code == 200
    assert shop.post(body | {"employeeUserId": str(alice.id), "internal": True}, path=REPLY).status_code == 200
    actors = [carol, _employee(alice), _token(shop), _employee(alice)]
    assert _since(shop, position) == [("message", actor) for actor in actors]


def test_events_of_conversations_tell_who_changed_them(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    position = _position(shop)
    thread = {"customerThreadId": thread_id}
    changes = {
        "/api/update-thread-status": {"status": "resolved"},
        "/api/assign-customer-thread": {"employeeUserId": str(alice.id)},
        "/api/unassign-customer-thread": {},
        "/api/transfer-customer-thread": {"businessId": shop.world.paris},
    }
    for path, body in changes.items():
        assert alice.browser.call(path, thread | body).status_code == 200
    assert shop.post(thread | {"status": "waiting"}, path="/api/update-thread-status").status_code == 200
    types = ("status", "assignment", "assignment", "transfer")
    assert _since(shop, position) == [*((type_, _employee(alice)) for type_ in types), ("status", _token(shop))]


def test_events_of_customers_tell_who_changed_them(shop: Shop, alice: Hired) -> None:
    carol, dave = (shop.customer_of(shop.send()) for _ in range(2))
    position = _position(shop)
    call = alice.browser.call
    assert call(f"/api/customers/{carol}/profile/update", {"firstName": "Carol"}).status_code == 200
    for verb in ("block", "unblock"):
        assert call(f"/api/customers/{carol}/{verb}").status_code == 200
    merged = call(f"/api/customers/{carol}/merge", {"otherCustomerId": str(dave)}).json()
    assert call(f"/api/customers/merges/{merged['mergeId']}/undo").status_code == 200
    assert shop.post({}, path=f"/api/customers/{dave}/erase").status_code == 200
    types = ("updated", "blocked", "unblocked", "merged", "merge-undone")
    changes = [(f"customer-{type_}", _employee(alice)) for type_ in types]
    assert _since(shop, position) == [*changes, ("customer-erased", _token(shop))]


def test_events_of_businesses_tell_who_changed_them(shop: Shop, alice: Hired) -> None:
    position = _position(shop)
    made = alice.browser.call("/api/businesses", {"name": "Acme Lyon"}).json()
    shop.server.installation.cli("business", "update", made["id"], "--name", "Acme Lille")
    assert _since(shop, position) == [("business-created", _employee(alice)), ("business-updated", SYSTEM)]


def test_an_employee_who_leaves_is_unassigned_by_the_one_who_deactivates_them(shop: Shop, alice: Hired) -> None:
    bert = hire(shop)
    thread = {"customerThreadId": shop.send()}
    shop.post(thread | {"employeeUserId": str(bert.id)}, path="/api/assign-customer-thread")
    position = _position(shop)
    assert alice.browser.call(f"/api/employees/{bert.id}/deactivate").status_code == 200
    assert _since(shop, position) == [("assignment", _employee(alice))]


def test_the_stream_tells_the_actor_as_the_feed_does(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    with following(shop) as stream:
        stream.until_ready()
        alice.browser.call(REPLY, {"customerThreadId": thread_id, "text": "Hello."})
        assert stream.next("message")["data"]["actor"] == _employee(alice)
