"""``user.name`` names a new customer and is never an error."""

from typing import Any

import pytest

from harness.shop import Shop


def _profile(shop: Shop, thread_id: str) -> dict[str, Any]:
    headers = {"token": shop.world.token}
    answer = shop.server.client.get(f"/api/customers/{shop.customer_of(thread_id)}/profile", headers=headers)
    profile: dict[str, Any] = answer.json()
    return profile


def _named(shop: Shop, email: str, name: object) -> str:
    return str(_profile(shop, shop.send(user={"email": email, "name": name}))["displayName"])


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Carol Jones", "Carol Jones"),
        ("  Carol\u00a0", "Carol"),
        ("Jose\u0301", "José"),
        ("كارول", "كارول"),
        ("C" * 200, "C" * 200),
    ],
)
def test_a_name_becomes_the_display_name_of_a_new_customer(shop: Shop, sent: str, shown: str) -> None:
    assert _named(shop, shop.somebody(), sent) == shown


@pytest.mark.parametrize("wrong", ["", "  ", "C" * 201, "Carol\nJones", "Ca\0rol", 7, True, None, ["Carol"], {"a": 1}])
def test_an_invalid_name_is_ignored(shop: Shop, wrong: object) -> None:
    email = shop.somebody()
    assert _named(shop, email, wrong) == email


def test_a_customer_without_a_name_gets_the_first_one_and_keeps_it(shop: Shop) -> None:
    email = shop.somebody()
    shop.send(user={"email": email})
    assert _named(shop, email, "Carol Jones") == "Carol Jones"
    assert _named(shop, email, "Mallory") == "Carol Jones"


@pytest.mark.parametrize("field", ["firstName", "lastName"])
def test_a_name_set_by_an_employee_is_kept(shop: Shop, field: str) -> None:
    email = shop.somebody()
    customer_id = shop.customer_of(shop.send(user={"email": email}))
    shop.post({field: "Jones"}, path=f"/api/customers/{customer_id}/profile/update")
    assert _named(shop, email, "Mallory") == "Jones"


def test_a_message_without_a_name_removes_none(shop: Shop) -> None:
    email = shop.somebody()
    shop.send(user={"email": email, "name": "Carol Jones", "locale": "en"})
    assert _profile(shop, shop.send(user={"email": email, "locale": "fr"}))["displayName"] == "Carol Jones"


def test_the_name_is_part_of_the_content_of_an_idempotency_key(shop: Shop) -> None:
    body = shop.body(user={"email": shop.somebody(), "name": "Carol"})
    key = {"Idempotency-Key": shop.somebody()}
    assert [shop.post(body, headers=key).status_code for _ in range(2)] == [200, 200]
    assert shop.post({**body, "user": {**body["user"], "name": "Dave"}}, headers=key).status_code == 422


def test_unknown_fields_of_the_user_are_ignored(shop: Shop) -> None:
    shop.send(user={"email": shop.somebody(), "nickname": "Caz", "email2": 7})
