"""The worker of a server notifies browsers."""

from collections.abc import Callable

import pytest

from harness.employees import hire
from harness.push_service import PushBrowser, push_service
from harness.shop import Shop
from harness.waiting import wait_until


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that may reach loopback."""
    return shops(engine, outbound_allow="127.0.0.0/8")


def test_the_worker_notifies_the_assignee_of_a_conversation(shop: Shop) -> None:
    alice, thread_id = hire(shop), shop.send()
    with push_service() as service:
        browser = PushBrowser(f"{service.url}/send/alice")
        assert alice.browser.call("/api/push-subscriptions", browser.subscription).status_code == 200
        assign = {"customerThreadId": thread_id, "employeeUserId": str(alice.id)}
        shop.post(assign, path="/api/assign-customer-thread")
        wait_until(lambda: service.received, lambda: shop.server.log)
        ((_, headers, body),) = service.received
    key = shop.server.client.get("/api/push-subscriptions/key", headers={"token": shop.world.token}).json()
    assert headers["authorization"].endswith(f"k={key['publicKey']}")
    assert browser.decrypt(body) == {
        "type": "assigned",
        "customerThreadId": thread_id,
        "businessId": shop.world.boston,
    }
