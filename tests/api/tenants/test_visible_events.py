"""An employee of single businesses follows their feed and their stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest

from harness.employees import Hired, hire, problem
from harness.shop import Shop
from harness.streams import PROGRAMS_STREAM, SOON_S, Listening, listening_to, somebody, watching
from harness.visitors import Site
from shopbell.accounts.roles import Roles


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that delivers nothing, and lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


@pytest.fixture
def alice(shop: Shop) -> Hired:
    """An owner of Paris alone."""
    return hire(shop, roles=Roles(None, {int(shop.world.paris): "owner"}))


def _position(alice: Hired) -> int:
    position: int = alice.browser.get("/api/me").json()["streamPosition"]
    return position


def _types(alice: Hired, after: int) -> list[str]:
    page = alice.browser.get(f"/api/events?after={after}").json()
    assert page["lastPosition"] == _position(alice)
    assert page["hasMore"] is page["truncated"] is False
    return [each["type"] for each in page["events"]]


def _transfer(shop: Shop, thread_id: str, business_id: str) -> None:
    body = {"customerThreadId": thread_id, "businessId": business_id}
    assert shop.post(body, path="/api/transfer-customer-thread").status_code == 200


@contextmanager
def _stream(shop: Shop, alice: Hired, **query: str) -> Iterator[Listening]:
    with listening_to(shop, f"{PROGRAMS_STREAM}?{urlencode(query)}", {"Cookie": alice.browser.cookie}) as stream:
        yield stream


def test_the_feed_has_the_conversations_of_her_business(shop: Shop, alice: Hired) -> None:
    position = _position(alice)
    shop.send()
    assert _types(alice, position) == []
    thread_id = shop.send(businessId=shop.world.paris)
    assert _types(alice, position) == ["message"]
    _transfer(shop, thread_id, shop.world.boston)
    assert _types(alice, position) == ["transfer"]  # her last event of it; its texts belong to Boston now
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    assert _types(alice, position) == ["transfer"]
    _transfer(shop, thread_id, shop.world.paris)
    assert _types(alice, position) == ["message", "transfer", "status", "transfer"]


def test_the_feed_has_the_customers_who_wrote_to_her_business(shop: Shop, alice: Hired) -> None:
    carol, dave = shop.somebody(), shop.somebody()
    foreign = shop.customer_of(shop.send(user={"email": carol}))
    own = shop.customer_of(shop.send(user={"email": dave}, businessId=shop.world.paris))
    position = _position(alice)
    for customer_id in (foreign, own):
        shop.post({"firstName": "Carol"}, path=f"/api/customers/{customer_id}/profile/update")
    assert _types(alice, position) == ["customer-updated"]
    # Merged into a customer that she does not see, Dave is that customer: she sees the changes of both.
    shop.post({"otherCustomerId": str(own)}, path=f"/api/customers/{foreign}/merge")
    shop.post({"firstName": "Dave"}, path=f"/api/customers/{foreign}/profile/update")
    assert _types(alice, position) == ["customer-updated"] * 2 + ["customer-merged", "customer-updated"]
    assert alice.browser.get(f"/api/customers/{own}/profile").json()["id"] == str(foreign)
    found = alice.browser.get("/api/customers").json()["customers"]
    assert str(foreign) in [each["id"] for each in found]


def test_the_feed_has_the_changes_of_her_business(shop: Shop, alice: Hired) -> None:
    position = _position(alice)
    for business_id in (shop.world.boston, shop.world.paris):
        shop.post({"survey": "nps"}, path=f"/api/businesses/{business_id}/update")
        shop.post({"name": "Acme Lyon"}, path="/api/businesses")
    page = alice.browser.get(f"/api/events?after={position}").json()
    assert [(each["type"], each["businessId"]) for each in page["events"]] == [("business-updated", shop.world.paris)]


def test_a_page_without_events_of_hers_leads_to_the_next(shop: Shop, alice: Hired) -> None:
    position = _position(alice)
    for _ in range(3):
        shop.send()
    own = shop.send(businessId=shop.world.paris)
    page = alice.browser.get(f"/api/events?after={position}&limit=2").json()
    assert (page["events"], page["lastPosition"], page["hasMore"]) == ([], position + 2, True)
    page = alice.browser.get(f"/api/events?after={position + 2}&limit=2").json()
    assert [each["customerThreadId"] for each in page["events"]] == [own]


def test_the_stream_has_the_same_events_live_and_after_a_reconnect(shop: Shop, alice: Hired) -> None:
    position = _position(alice)
    kinds = ("message", "customer-updated", "transfer")
    with _stream(shop, alice) as stream:
        assert stream.until_ready() == []
        foreign, own = shop.send(), shop.send(businessId=shop.world.paris)
        assert stream.next(*kinds)["data"]["customerThreadId"] == own
        for customer_id in (shop.customer_of(foreign), shop.customer_of(own)):
            shop.post({"firstName": "Carol"}, path=f"/api/customers/{customer_id}/profile/update")
        assert stream.next(*kinds)["data"]["customerId"] == str(shop.customer_of(own))
        _transfer(shop, own, shop.world.boston)
        last = stream.next(*kinds)
        assert (last["event"], last["data"]["customerThreadId"]) == ("transfer", own)
        assert stream.is_quiet(*kinds)
    with _stream(shop, alice, after=str(position)) as stream:
        # The conversation is Boston's now, and so is its customer.
        assert [each["id"] for each in stream.until_ready()] == [last["id"]]


def test_the_stream_has_the_signals_of_her_business_only(shop: Shop, alice: Hired) -> None:
    foreign, own = shop.send(), shop.send(businessId=shop.world.paris)
    with _stream(shop, alice) as stream:
        stream.until_ready()
        for thread_id in (foreign, own):
            shop.post({"customerThreadId": thread_id}, path="/api/update-typing")
        assert stream.next("typing")["data"]["customerThreadId"] == own
        assert stream.is_quiet("typing")


def test_only_the_customers_of_her_business_see_her_online(shop: Shop, alice: Hired) -> None:
    world = shop.world
    (dave, _), (carol, _) = (
        somebody(Site(shop, world.token, world.acme, each)) for each in (world.paris, world.boston)
    )
    with watching(dave) as of_paris, watching(carol) as of_boston:
        of_paris.until_ready()
        of_boston.until_ready()
        with _stream(shop, alice, present="true") as stream:
            stream.until_ready()
            assert of_paris.next("presence")["data"] == {"online": True}
        assert of_paris.next("presence")["data"] == {"online": False}
        assert of_boston.is_quiet("presence")


def test_the_stream_of_another_business_does_not_exist(shop: Shop, alice: Hired) -> None:
    refused = alice.browser.get(f"{PROGRAMS_STREAM}?businessId={shop.world.boston}")
    assert problem(refused) == (404, "/problems/not-found")


def test_the_stream_ends_with_the_session(shop: Shop, alice: Hired) -> None:
    with _stream(shop, alice) as stream:
        stream.until_ready()
        roles = {"businessRoles": [{"businessId": shop.world.paris, "role": "member"}]}
        assert shop.post(roles, path=f"/api/employees/{alice.id}/roles").status_code == 200
        shop.send(businessId=shop.world.paris)
        while stream.events.get(timeout=SOON_S) is not None:  # for half a second, the session is known
            shop.send(businessId=shop.world.paris)
    assert alice.browser.get(PROGRAMS_STREAM).status_code == 401


def test_the_stream_needs_a_permission(shop: Shop) -> None:
    answer = shop.server.client.get(PROGRAMS_STREAM, headers={"token": shop.world.scoped["widget:send"]})
    assert problem(answer) == (403, "/problems/forbidden")
