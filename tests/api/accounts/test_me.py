"""``GET /api/me`` tells every caller who they are, and what they may do and see."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import Browser, hire
from harness.shop import Shop
from shopbell.accounts.permissions import ROLES
from shopbell.accounts.roles import Roles


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def _by_token(shop: Shop, token: str) -> Any:
    told = shop.server.client.get("/api/me", headers={"token": token})
    assert told.status_code == 200, told.text
    return told.json()


def test_an_employee_of_the_organization_sees_all_businesses(shop: Shop) -> None:
    alice = hire(shop, roles=Roles("member", {int(shop.world.paris): "manager"}), name="Alice Archer")
    told = alice.browser.get("/api/me").json()
    member, manager = sorted(ROLES["member"]), sorted(ROLES["manager"])
    assert (told["employeeUserId"], told["name"], told["email"]) == (str(alice.id), "Alice Archer", alice.email)
    assert told["organization"] == {
        "organizationId": shop.world.acme,
        "name": "Acme",
        "requiresSecondFactor": False,
    }
    assert told["permissions"] == member
    businesses = {each["businessId"]: each for each in told["businesses"]}
    assert businesses[shop.world.boston] == {
        "businessId": shop.world.boston,
        "name": "Acme Boston",
        "brandColor": None,
        "active": True,
        "permissions": member,
    }
    assert businesses[shop.world.paris]["permissions"] == manager
    assert businesses[shop.world.closed]["active"] is False
    assert shop.world.london not in businesses  # Globex's


def test_an_employee_of_one_business_sees_that_business(shop: Shop) -> None:
    alice = hire(shop, roles=Roles(None, {int(shop.world.paris): "member"}))
    told = alice.browser.get("/api/me").json()
    assert told["permissions"] == []
    assert [(each["businessId"], each["permissions"]) for each in told["businesses"]] == [
        (shop.world.paris, sorted(ROLES["member"]))
    ]
    assert {"employeeUserId": str(alice.id), "name": "Alice Archer", "active": True} in told["employees"]


def test_a_token_learns_its_permissions_and_no_names_that_it_may_not_read(shop: Shop) -> None:
    hire(shop)
    told = _by_token(shop, shop.world.reading_token)
    assert (told["employeeUserId"], told["name"], told["email"]) == (None, None, None)
    assert told["permissions"] == ["threads:read"]
    assert told["employees"]
    assert _by_token(shop, shop.world.scoped["widget:send"])["employees"] == []


def test_the_stream_continues_from_the_position_of_me(shop: Shop) -> None:
    before = _by_token(shop, shop.world.token)["streamPosition"]
    shop.send()
    events = shop.server.client.get(f"/api/events?after={before}", headers={"token": shop.world.token}).json()
    assert [each["type"] for each in events["events"]] == ["message"]
    assert _by_token(shop, shop.world.token)["streamPosition"] == events["lastPosition"]


def test_a_stranger_learns_nothing(shop: Shop) -> None:
    assert Browser(shop).get("/api/me").status_code == 401
