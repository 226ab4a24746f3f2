"""Employees are invited and get their roles by the API, and the audit log tells who did it."""

import re
from collections.abc import Callable

import pytest

from harness.employees import PASSWORD, Browser, hire, problem
from harness.installation import SECRET_KEY
from harness.shop import Shop
from shopbell.accounts.permissions import ROLES
from shopbell.accounts.roles import Roles
from shopbell.http.accounts import audit_page
from shopbell.http.request.paging import cursor_of
from shopbell.organizations import api_tokens
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys


def token_with(shop: Shop, *scopes: str) -> str:
    """A token of Acme's with these scopes."""
    keys = Keys((SECRET_KEY.encode(),)).derive(api_tokens.KEY_PURPOSE)
    with shop.database.writing() as tx:
        of, at_ms = int(shop.world.acme), now_ms()
        return api_tokens.create(tx, keys, of, "some", scopes, None, actor="a test", now_ms=at_ms)[1]


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def test_an_owner_hires_by_the_api(shop: Shop) -> None:
    owner = hire(shop, roles=Roles("owner")).browser
    new = owner.call("/api/employees", {"name": "Dora", "email": "dora@staff.example"}).json()["id"]
    assert problem(owner.call(f"/api/employees/{new}/invite")) == (409, "/problems/conflict")  # no role yet
    assert owner.call(f"/api/employees/{new}/roles", {"role": "manager"}).status_code == 200
    invited = owner.call(f"/api/employees/{new}/invite").json()
    assert invited["sent"] is False  # this server has no mail server
    dora = Browser(shop)
    dora.submit(invited["link"].removeprefix(owner.origin), name="Dora", password=PASSWORD)
    assert dora.get("/api/me").json()["permissions"] == sorted(ROLES["manager"])


def test_a_manager_neither_makes_nor_invites_an_owner(shop: Shop) -> None:
    manager, owner = hire(shop, roles=Roles("manager")).browser, hire(shop, roles=Roles("owner"))
    member = hire(shop)
    refused = (403, "/problems/role-not-allowed")
    assert problem(manager.call(f"/api/employees/{member.id}/roles", {"role": "owner"})) == refused
    assert problem(manager.call(f"/api/employees/{owner.id}/roles", {"role": "member"})) == refused
    assert problem(manager.call(f"/api/employees/{owner.id}/invite")) == refused
    assert manager.call(f"/api/employees/{member.id}/invite").status_code == 200


def test_a_token_gives_no_more_than_its_scopes(shop: Shop) -> None:
    member, manager = hire(shop), hire(shop, roles=Roles("manager"))
    scopes = ("threads:read", "threads:write", "customers:read", "customers:write", "employees:manage")
    token = token_with(shop, *scopes)
    refused = (403, "/problems/role-not-allowed")
    for role in ("owner", "manager"):
        assert problem(shop.post({"role": role}, token=token, path=f"/api/employees/{member.id}/roles")) == refused
    assert problem(shop.post({}, token=token, path=f"/api/employees/{manager.id}/invite")) == refused
    assert shop.post({}, token=token, path=f"/api/employees/{member.id}/invite").status_code == 200
    assert shop.post({"role": "owner"}, path=f"/api/employees/{member.id}/roles").status_code == 200  # all scopes


def test_a_link_opens_no_more_than_was_invited(shop: Shop) -> None:
    owner, member = hire(shop, roles=Roles("owner")).browser, hire(shop)
    for path, change in (("roles", {"role": "owner"}), ("update", {"email": f"new-{member.email}"})):
        link = owner.call(f"/api/employees/{member.id}/invite").json()["link"].removeprefix(owner.origin)
        assert Browser(shop).get(link).status_code == 200
        assert owner.call(f"/api/employees/{member.id}/{path}", change).status_code == 200
        assert Browser(shop).get(link).status_code == 410, path
        assert Browser(shop).submit(link, name="Mallory", password=PASSWORD).status_code == 410, path


def test_an_employee_without_an_address_cannot_be_invited(shop: Shop) -> None:
    owner = hire(shop, roles=Roles("owner")).browser
    new = owner.call("/api/employees", {"name": "Fay"}).json()["id"]
    owner.call(f"/api/employees/{new}/roles", {"role": "member"})
    refused = owner.call(f"/api/employees/{new}/invite")
    assert problem(refused) == (409, "/problems/conflict")
    assert "no email address" in refused.json()["detail"]


def test_an_employee_hears_about_their_role_and_a_program_about_its_token(shop: Shop) -> None:
    assert "Your role does not allow this" in hire(shop).browser.get("/api/audit").json()["detail"]
    refused = shop.server.client.get("/api/audit", headers={"token": shop.world.reading_token})
    assert "This token may not do that" in refused.json()["detail"]


def test_the_last_owner_stays(shop: Shop) -> None:
    for id_ in shop.database.rows("SELECT employee_id FROM organization_roles WHERE role = 'owner'"):
        shop.database.change("DELETE FROM organization_roles WHERE employee_id = :id", id=id_["employee_id"])
    owner = hire(shop, roles=Roles("owner"))
    for action, body in (("roles", {"role": "member"}), ("deactivate", {})):
        refused = owner.browser.call(f"/api/employees/{owner.id}/{action}", body)
        assert problem(refused) == (409, "/problems/conflict"), action


def test_a_business_is_named_once(shop: Shop) -> None:
    owner, member = hire(shop, roles=Roles("owner")).browser, hire(shop)
    twice = [{"businessId": shop.world.boston, "role": role} for role in ("member", "manager")]
    refused = owner.call(f"/api/employees/{member.id}/roles", {"businessRoles": twice})
    assert [error["code"] for error in refused.json()["errors"]] == ["invalid_value"]
    once = [twice[0], {"businessId": shop.world.london, "role": "member"}]  # Globex's
    assert owner.call(f"/api/employees/{member.id}/roles", {"businessRoles": once}).status_code == 404


def test_the_list_of_employees_shows_their_roles(shop: Shop) -> None:
    boston = int(shop.world.boston)
    alice, bert, cleo = hire(shop), hire(shop, roles=Roles("manager", {boston: "owner"})), hire(shop)
    shop.database.change("DELETE FROM organization_roles WHERE employee_id = :id", id=cleo.id)
    url = f"/api/employees?cursor={cursor_of(alice.id - 1)}"
    listed = shop.server.client.get(url, headers={"token": shop.world.token}).json()["employees"]
    in_boston = [{"businessId": shop.world.boston, "role": "owner"}]
    assert [(each["id"], each["role"], each["businessRoles"]) for each in listed] == [
        (str(alice.id), "member", []),
        (str(bert.id), "manager", in_boston),
        (str(cleo.id), None, []),
    ]


def test_the_organization_can_require_a_second_factor(shop: Shop) -> None:
    owner = hire(shop, roles=Roles("owner")).browser
    assert owner.get("/api/organization").json()["requiresSecondFactor"] is False
    for required in (True, False):
        changed = owner.call("/api/organization/update", {"requiresSecondFactor": required}).json()
        assert changed["requiresSecondFactor"] is required
        assert changed["keepMessagesDays"] is None


def test_the_audit_page_names_people_and_leads_to_older_entries(shop: Shop) -> None:
    owner = hire(shop, roles=Roles("owner"), name="Olga Olsen")
    new = owner.browser.call("/api/employees", {"name": "<b>Fay</b>"}).json()["id"]
    bob = hire(shop, organization_id=shop.world.globex, name="Bob of Globex")
    for number in range(audit_page.ENTRIES):
        owner.browser.call(f"/api/employees/{new}/update", {"name": f"<b>Fay {number}</b>"})
    first = owner.browser.get("/account/audit").text
    assert "Olga Olsen" in first
    assert f"&lt;b&gt;Fay {audit_page.ENTRIES - 1}&lt;/b&gt;" in first
    assert "employee.create" not in first
    older = re.search(r'href="(\?before=\d+)"', first)
    assert older
    second = owner.browser.get(f"/account/audit{older[1]}").text
    assert "employee.create" in second
    assert "Bob of Globex" not in first + second
    assert f"employee {bob.id}" not in first + second
    assert "account/audit" in owner.browser.get("/account").text


def test_the_audit_page_is_for_those_who_may_read_it(shop: Shop) -> None:
    member = hire(shop).browser
    assert member.get("/account/audit").status_code == 403
    assert "account/audit" not in member.get("/account").text
    assert Browser(shop).follow(Browser(shop).get("/account/audit")) == "/sign-in?next=account/audit"


def test_the_audit_log_names_who_did_it_the_newest_first(shop: Shop) -> None:
    owner = hire(shop, roles=Roles("owner"))
    new = owner.browser.call("/api/employees", {"name": "Fay"}).json()["id"]
    page = owner.browser.get("/api/audit?limit=1").json()
    assert [(each["actor"], each["action"], each["subject"]) for each in page["entries"]] == [
        (f"employee {owner.id}", "employee.create", f"employee {new}")
    ]
    older = owner.browser.get(f"/api/audit?limit=2&cursor={page['nextCursor']}").json()
    assert int(older["entries"][0]["id"]) < int(page["entries"][0]["id"])
    assert hire(shop).browser.get("/api/audit").status_code == 403
