"""What an employee of one business may do, beyond the matrix of routes."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.employees import Hired, hire, problem
from harness.shop import Shop
from shopbell.accounts.roles import Roles
from shopbell.customers import search

NOT_FOUND = (404, "/problems/not-found")
REPLY = "/api/send-message-to-customer-thread"


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server with files, without deliveries, and with many sign-ins per machine."""
    folder = tmp_path_factory.getbasetemp() / f"attachments-of-one-business-{engine}"
    settings = {"attachments_url": f"file://{folder}", "visitor_rate_per_min": 100_000}
    return shops(engine, run_worker="false", **settings)


@pytest.fixture
def alice(shop: Shop) -> Hired:
    """A manager of Paris alone."""
    return hire(shop, roles=Roles(None, {int(shop.world.paris): "manager"}))


def _upload(shop: Shop, **headers: str) -> str:
    files = {"file": ("receipt.txt", b"1 bell", "text/plain")}
    uploaded = shop.server.client.post("/api/attachments", files=files, headers=headers)
    assert uploaded.status_code == 200, uploaded.text
    attachment_id: str = uploaded.json()["attachmentId"]
    return attachment_id


def test_she_uses_the_files_that_she_uploaded_and_no_others(shop: Shop, alice: Hired) -> None:
    own = _upload(shop, Cookie=alice.browser.cookie, **alice.browser.headers)
    foreign = _upload(shop, token=shop.world.token)
    thread_id = shop.send(businessId=shop.world.paris)
    assert alice.browser.get(f"/api/attachments/{own}").status_code == 200
    assert problem(alice.browser.get(f"/api/attachments/{foreign}")) == NOT_FOUND
    sent = {"customerThreadId": thread_id, "attachmentId": foreign}
    assert problem(alice.browser.call(REPLY, sent)) == NOT_FOUND
    assert alice.browser.call(REPLY, sent | {"attachmentId": own}).status_code == 200
    shop.post(sent, path=REPLY)
    assert alice.browser.get(f"/api/attachments/{foreign}").status_code == 200  # now it belongs to her conversation


def test_she_lists_the_conversations_and_customers_of_her_business(shop: Shop, alice: Hired) -> None:
    email = shop.somebody()
    shop.send(user={"email": email})
    own = [shop.send(businessId=shop.world.paris) for _ in range(3)]

    def listed(path: str, name: str) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            page = alice.browser.get(f"{path}limit=2{cursor}").json()
            found += page[name]
            if page["nextCursor"] is None:
                return found
            cursor = f"&cursor={page['nextCursor']}"

    ids = own[::-1]
    for query in ("", f"businessId={shop.world.paris}&", "status=waiting&", "channel=WEB&"):
        threads = listed(f"/api/threads?{query}", "threads")
        assert [each["customerThreadId"] for each in threads][:3] == ids, query
        assert {each["businessId"] for each in threads} == {shop.world.paris}
    customers = [each["id"] for each in listed("/api/customers?", "customers")]
    assert customers[:3] == [str(shop.customer_of(id_)) for id_ in ids]
    assert listed(f"/api/customers?email={email}&", "customers") == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # it changes the server's code, in this process
def test_a_list_of_customers_reads_a_limited_number_of_them(
    shop: Shop, alice: Hired, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = shop.customer_of(shop.send(businessId=shop.world.paris))
    foreign = [shop.customer_of(shop.send()) for _ in range(3)]
    monkeypatch.setattr(search, "SEARCHED_AT_ONCE", 3)
    page = alice.browser.get("/api/customers").json()
    assert page["customers"] == []
    page = alice.browser.get(f"/api/customers?cursor={page['nextCursor']}").json()
    assert str(own) in [each["id"] for each in page["customers"]]
    assert not {str(id_) for id_ in foreign} & {each["id"] for each in page["customers"]}


def test_graphql_knows_her_customers_only(shop: Shop) -> None:
    alice = hire(shop, roles=Roles(None, {int(shop.world.paris): "owner"}))
    for business_id, count in ((shop.world.boston, 0), (shop.world.paris, 1)):
        customer_id = str(shop.customer_of(shop.send(businessId=business_id)))
        variables = {"customerId": customer_id, "firstName": "Carol", "lastName": "Jones"}
        for name in ("get-customer-profile-query", "update-customer-profile-name-mutation"):
            told = alice.browser.call("/graphql", {"query": name, "variables": variables}).json()
            assert ("errors" not in told) is bool(count), told
        names = "SELECT count(*) FROM customers WHERE id = :id AND first_name = 'Carol'"
        assert shop.database.value(names, id=int(customer_id)) == count


def test_she_creates_employees_of_her_business(shop: Shop, alice: Hired) -> None:
    new = alice.browser.call("/api/employees", {"name": "Fay", "email": shop.somebody()}).json()["id"]
    role = {"businessId": shop.world.paris, "role": "member"}
    path = f"/api/employees/{new}/roles"
    refused = (403, "/problems/role-not-allowed")
    for roles in (
        {"role": "member"},
        {"businessRoles": [role | {"businessId": shop.world.boston}]},
        {"businessRoles": [role | {"role": "owner"}]},
    ):
        assert problem(alice.browser.call(path, roles)) == refused, roles
    assert alice.browser.call(path, {"businessRoles": [role]}).status_code == 200
    assert alice.browser.call(f"/api/employees/{new}/invite").status_code == 200
    for elsewhere in (hire(shop), hire(shop, roles=Roles(None, {int(shop.world.boston): "member"}))):
        assert problem(alice.browser.call(f"/api/employees/{elsewhere.id}/invite")) == refused
        assert problem(alice.browser.call(f"/api/employees/{elsewhere.id}/roles", {})) == refused


def test_a_transfer_ends_what_she_may_do(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send(businessId=shop.world.paris)
    customer = f"/api/customers/{shop.customer_of(thread_id)}/profile"
    assert alice.browser.get(customer).status_code == 200
    move = {"customerThreadId": thread_id, "businessId": shop.world.boston}
    assert problem(alice.browser.call("/api/transfer-customer-thread", move)) == NOT_FOUND  # Boston is not hers
    assert shop.post(move, path="/api/transfer-customer-thread").status_code == 200
    for path in (f"/api/threads/{thread_id}/messages", customer):
        assert problem(alice.browser.get(path)) == NOT_FOUND
