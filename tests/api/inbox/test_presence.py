"""Employees see who else has a conversation open, or writes in it."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import Hired, hire, problem
from harness.shop import Shop
from harness.streams import following, post

PRESENCE = "/api/inbox/presence"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server whose feeds only the tests consume."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def show(employee: Hired, thread_id: str, state: str) -> None:
    """Tell what an employee does."""
    answer = employee.browser.call(PRESENCE, {"customerThreadId": thread_id, "state": state})
    assert answer.status_code == 200, answer.text


def viewers(employee: Hired, thread_id: str) -> Any:
    """Who else is in a conversation, as an employee who opens it sees."""
    return employee.browser.get(f"/api/inbox/threads/{thread_id}").json()["viewers"]


def test_an_employee_who_opens_a_conversation_sees_who_else_is_in_it(shop: Shop) -> None:
    alice, erin = hire(shop), hire(shop, name="Erin Evans")
    thread_id = shop.send()
    for state in ("viewing", "writing"):
        show(alice, thread_id, state)
        assert viewers(erin, thread_id) == [{"employeeUserId": str(alice.id), "state": state}]
        assert viewers(alice, thread_id) == []
    show(alice, thread_id, "left")
    assert viewers(erin, thread_id) == []


def test_streams_tell_who_views_and_who_writes(shop: Shop) -> None:
    alice, thread_id = hire(shop), shop.send()
    with following(shop) as stream:
        stream.until_ready()
        for state in ("viewing", "writing", "left"):
            show(alice, thread_id, state)
            heard = stream.next("viewing", "writing")
            assert heard["event"] == ("writing" if state == "writing" else "viewing")
            assert heard["data"] == {
                "customerThreadId": thread_id,
                "businessId": shop.world.boston,
                "employeeUserId": str(alice.id),
                "name": "Alice Archer",
                "state": state,
            }


def test_a_token_shows_an_employee_of_its_organization_only(shop: Shop) -> None:
    alice, bob = hire(shop), hire(shop, organization_id=shop.world.globex)
    body = {"customerThreadId": shop.send(), "state": "viewing"}
    assert problem(shop.post(body, path=PRESENCE)) == (400, "/problems/validation-error")
    assert problem(shop.post(body | {"employeeUserId": str(bob.id)}, path=PRESENCE)) == (404, "/problems/not-found")
    post(shop, PRESENCE, **body, employeeUserId=str(alice.id))
