"""Saved views, private and shared."""

from typing import Any

import pytest

from harness.employees import hire
from harness.inbox import audited, call, employee, get, refusal
from harness.shop import Shop, faults_of
from shopbell.accounts.roles import Roles

VIEWS = "/api/saved-views"


def create(shop: Shop, **fields: Any) -> str:
    """Create a view; returns its id."""
    view_id: str = call(shop, VIEWS, **{"name": "Repairs", "query": "view=open"} | fields)["savedViewId"]
    return view_id


def listed(shop: Shop, **query: Any) -> list[str]:
    """The ids of the views that an employee sees."""
    return [each["savedViewId"] for each in get(shop, VIEWS, limit=200, **query)["savedViews"]]


def test_a_private_view_is_seen_by_its_employee_only(shop: Shop) -> None:
    alice, dora = employee(shop), employee(shop, "Dora")
    private, shared = create(shop, employeeUserId=alice), create(shop, employeeUserId=alice, shared=True)
    assert [each for each in listed(shop, employeeUserId=alice) if each in (private, shared)] == [private, shared]
    for query in ({"employeeUserId": dora}, {}):
        assert shared in (found := listed(shop, **query))
        assert private not in found
    for act in ("update", "delete"):
        assert shop.post({"name": "x", "employeeUserId": dora}, path=f"{VIEWS}/{private}/{act}").status_code == 404
    assert audited(shop, f"saved view {private}") == []
    assert audited(shop, f"saved view {shared}") == ["saved-view.create"]


def test_the_filters_of_a_view_have_a_fixed_order(shop: Shop) -> None:
    given = "sort=recent&channel=EMAIL&tagId=12354&view=open&assigneeUserId=12351&businessId=12345"
    made = call(shop, VIEWS, name="All", query=given, shared=True)
    wanted = "view=open&businessId=12345&assigneeUserId=12351&tagId=12354&channel=EMAIL&sort=recent"
    assert made["query"] == wanted


@pytest.mark.parametrize(
    "query",
    ["", "view=everything", "view=open&view=mine", "tag=1", "tagId=x", "tagId=01", "channel=FAX", "sort=", "x" * 501],
)
def test_filters_that_the_list_does_not_know_are_refused(shop: Shop, query: str) -> None:
    answer = shop.post({"name": "x", "query": query, "shared": True}, path=VIEWS)
    assert faults_of(answer) == {("body", "#/query", "invalid_format")}


def test_an_employee_changes_their_view_and_a_manager_the_shared_ones(shop: Shop) -> None:
    alice, dora = hire(shop).browser, hire(shop).browser
    manager = hire(shop, roles=Roles("manager")).browser
    body = {"name": "Repairs", "query": "view=open", "shared": True}
    view_id = alice.call(VIEWS, body).json()["savedViewId"]
    path = f"{VIEWS}/{view_id}"
    detail = "Only the employee who made this view, and employees who manage the inbox, can change it."
    for act in ("update", "delete"):
        assert refusal(dora.call(f"{path}/{act}", {"name": "Mine"})) == (403, detail)
    assert alice.call(f"{path}/update", {"name": "Repairs in Boston"}).status_code == 200
    assert manager.call(f"{path}/update", {"query": "view=mine"}).status_code == 200
    (view,) = [each for each in dora.get(f"{VIEWS}?limit=200").json()["savedViews"] if each["savedViewId"] == view_id]
    assert (view["name"], view["query"], view["shared"]) == ("Repairs in Boston", "view=mine", True)
    assert alice.call(f"{path}/update", {"shared": False}).status_code == 200
    assert manager.call(f"{path}/delete").status_code == 404
    assert alice.call(f"{path}/delete").status_code == 200
    # It was private, so the audit log does not mention it.
    assert audited(shop, f"saved view {view_id}") == ["saved-view.create", *["saved-view.update"] * 3]


def test_a_shared_view_of_a_business_is_shown_to_its_employees_only(shop: Shop) -> None:
    world = shop.world
    owner, of_boston, of_paris = (
        hire(shop, roles=roles).browser
        for roles in (
            Roles("owner"),
            *(Roles(businesses={int(business): "member"}) for business in (world.boston, world.paris)),
        )
    )
    view_id = create(shop, name="Refunds", query=f"view=open&businessId={world.boston}", shared=True)
    of_all = create(shop, shared=True)
    for path in (f"{VIEWS}?limit=200", "/api/inbox/counts"):
        seen = [
            {view_id, of_all} & {each["savedViewId"] for each in browser.get(path).json()["savedViews"]}
            for browser in (owner, of_boston, of_paris)
        ]
        assert seen == [{view_id, of_all}, {view_id, of_all}, {of_all}], path


def test_a_program_makes_shared_views_only(shop: Shop) -> None:
    private = shop.post({"name": "x", "query": "view=open"}, path=VIEWS)
    assert faults_of(private) == {("body", "#/shared", "invalid_value")}
    view_id = create(shop, shared=True)
    hidden = shop.post({"shared": False}, path=f"{VIEWS}/{view_id}/update")
    assert faults_of(hidden) == {("body", "#/shared", "invalid_value")}
    call(shop, f"{VIEWS}/{view_id}/delete")
