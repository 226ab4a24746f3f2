"""Matching customers by identity, and flagging possible duplicates."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from harness.shop import Shop


def _shown(shop: Shop, customer_id: int) -> dict[str, Any]:
    customer: dict[str, Any] = shop.server.installation.cli("customers", "show", customer_id)
    return customer


def test_a_new_customer_has_all_submitted_identities(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    customer = _shown(
        shop, shop.customer_of(shop.send(user={"email": email, "phoneNumber": number, "locale": "fr_CA"}))
    )
    assert {identity["shown"] for identity in customer["identities"]} == {email, number}
    assert customer["locale"] == "fr-CA"
    assert customer["possibleDuplicates"] == []


def test_a_customer_is_found_by_email(shop: Shop) -> None:
    email = shop.somebody()
    assert shop.send(user={"email": email}) == shop.send(user={"email": email})


def test_a_customer_is_found_by_phone_number(shop: Shop) -> None:
    number = shop.some_number()
    assert shop.send(user={"phoneNumber": number}) == shop.send(user={"phoneNumber": number})


def test_a_new_email_address_sent_with_a_known_phone_number_is_added(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    thread_id = shop.send(user={"phoneNumber": number})
    assert shop.send(user={"email": email, "phoneNumber": number}) == thread_id
    assert shop.identities(shop.customer_of(thread_id)) == {"email": [email], "phone": [number]}
    assert shop.send(user={"email": email}) == thread_id


def test_a_new_phone_number_sent_with_a_known_email_address_is_added(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    thread_id = shop.send(user={"email": email})
    assert shop.send(user={"email": email, "phoneNumber": number}) == thread_id
    assert shop.identities(shop.customer_of(thread_id)) == {"email": [email], "phone": [number]}
    assert shop.send(user={"phoneNumber": number}) == thread_id


def test_a_customer_can_have_several_email_addresses(shop: Shop) -> None:
    one, other, number = shop.somebody(), shop.somebody(), shop.some_number()
    thread_id = shop.send(user={"email": one, "phoneNumber": number})
    assert shop.send(user={"email": other, "phoneNumber": number}) == thread_id
    assert shop.identities(shop.customer_of(thread_id))["email"] == sorted([one, other])


def test_if_email_and_number_match_different_customers_the_email_wins_and_no_number_moves(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    carols = shop.send(user={"email": email})
    daves = shop.send(user={"phoneNumber": number})
    assert shop.send(user={"email": email, "phoneNumber": number}) == carols
    assert len(shop.messages(carols)) == 2
    assert len(shop.messages(daves)) == 1
    assert shop.identities(shop.customer_of(carols)) == {"email": [email], "phone": []}
    assert shop.identities(shop.customer_of(daves)) == {"email": [], "phone": [number]}


def test_two_matching_customers_are_flagged_as_possible_duplicates(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    carol = shop.customer_of(shop.send(user={"email": email}))
    dave = shop.customer_of(shop.send(user={"phoneNumber": number}))
    for _ in range(2):
        shop.send(user={"email": email, "phoneNumber": number})
    assert _shown(shop, carol)["possibleDuplicates"] == [str(dave)]
    assert _shown(shop, dave)["possibleDuplicates"] == [str(carol)]


def test_customers_without_shared_identities_are_not_flagged(shop: Shop) -> None:
    carol = shop.customer_of(shop.send(user={"email": shop.somebody(), "phoneNumber": shop.some_number()}))
    assert _shown(shop, carol)["possibleDuplicates"] == []


def test_the_same_person_is_another_customer_in_another_organization(shop: Shop) -> None:
    user = {"email": shop.somebody(), "phoneNumber": shop.some_number()}
    ours = shop.send(user=user)
    theirs = shop.send(user=user, businessId=shop.world.london, token=shop.world.globex_token)
    assert ours != theirs
    assert shop.customer_of(ours) != shop.customer_of(theirs)


def test_the_same_person_is_one_customer_at_two_businesses_of_an_organization(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    boston = shop.send(user=user)
    paris = shop.send(user=user, businessId=shop.world.paris)
    assert boston != paris
    assert shop.customer_of(boston) == shop.customer_of(paris)


def test_the_database_itself_enforces_one_customer_per_identity(shop: Shop) -> None:
    email = shop.somebody()
    carol = shop.thread(shop.send(user={"email": email}))
    dave = shop.customer_of(shop.send())
    insert = (
        "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms) "
        "VALUES (:organization, 'email', :email, :customer, :email, 1)"
    )
    with pytest.raises(IntegrityError):
        shop.database.change(insert, organization=carol["organization_id"], email=email, customer=dave)
