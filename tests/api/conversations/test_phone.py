"""``user.phoneNumber``: normal form and regions."""

import pytest

from harness.shop import Shop, codes
from harness.waiting import ask_until_obeyed


def _numbers(shop: Shop, thread_id: str) -> list[str]:
    return shop.identities(shop.customer_of(thread_id))["phone"]


def test_the_documented_example_number_is_accepted(shop: Shop) -> None:
    assert _numbers(shop, shop.send(user={"phoneNumber": "+15551234567"})) == ["+15551234567"]


@pytest.mark.parametrize("spelling", ["+1 617 555 0142", "+1 (617) 555-0142", "+1-617-555-0142", "+1.617.555.0142"])
def test_a_number_with_a_plus_is_stored_in_e164(shop: Shop, spelling: str) -> None:
    for business in (shop.world.boston, shop.world.paris, shop.world.nowhere):
        thread_id = shop.send(businessId=business, user={"phoneNumber": spelling})
        assert _numbers(shop, thread_id) == ["+16175550142"]


@pytest.mark.parametrize("spelling", ["6175550143", "617 555 0143", "(617) 555-0143", "1 617 555 0143"])
def test_a_number_without_a_plus_uses_the_region_of_the_business(shop: Shop, spelling: str) -> None:
    assert _numbers(shop, shop.send(user={"phoneNumber": spelling})) == ["+16175550143"]


def test_the_same_digits_are_a_different_number_in_another_region(shop: Shop) -> None:
    thread_id = shop.send(businessId=shop.world.paris, user={"phoneNumber": "06 12 34 56 78"})
    assert _numbers(shop, thread_id) == ["+33612345678"]


def test_two_spellings_of_one_number_are_one_customer(shop: Shop) -> None:
    first = shop.send(user={"phoneNumber": "+1 617 555 0144"})
    assert shop.send(user={"phoneNumber": "(617) 555-0144"}) == first


def test_a_business_without_a_region_refuses_numbers_without_a_plus(shop: Shop) -> None:
    faults = shop.refused(businessId=shop.world.nowhere, user={"phoneNumber": "617 555 0142"})
    assert codes(faults) == [("#/user/phoneNumber", "invalid_phone_number")]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "+",
        "+1",
        "+1555",
        "12",
        "+15551234567890123",
        "+999 123 456 789",
        "phone",
        "1-800-FLOWERS",
        "+1 617 555 0142 ext. 5",
        "+1 617 555 0142x5",
        "+1 617 555 0142;ext=5",
        "tel:+16175550142",
        "+1 617 555 0142\n",
        "+1 617 555\0 0142",
        "carol@example.com",
        "+" * 100,
        "5" * 1_000,
    ],
)
def test_invalid_phone_numbers_are_refused(shop: Shop, wrong: str) -> None:
    assert codes(shop.refused(user={"phoneNumber": wrong})) == [("#/user/phoneNumber", "invalid_phone_number")]


# A region decides which of these are possible numbers: in the answer nothing of it may show.
WITHOUT_PLUS = ["617 555 0142", "0612345678", "020 7946 0958", "7946 0958", "123456", "12345678901234", "612345678"]


@pytest.mark.parametrize("number", WITHOUT_PLUS)
def test_a_number_without_a_plus_does_not_reveal_another_organizations_region(shop: Shop, number: str) -> None:
    user = {"phoneNumber": number}
    foreign = [shop.world.london, "1", shop.world.closed]
    answers = [shop.post(shop.body(businessId=business, user=user)) for business in foreign]
    assert [answer.status_code for answer in answers] == [403, 403, 403]


@pytest.mark.parametrize("number", ["phone", "1-800-FLOWERS", "", "1", "5" * 100])
def test_characters_and_length_of_a_number_are_checked_for_any_business(shop: Shop, number: str) -> None:
    for business in (shop.world.london, "1", shop.world.closed):
        faults = shop.refused(businessId=business, user={"phoneNumber": number})
        assert codes(faults) == [("#/user/phoneNumber", "invalid_phone_number")]


def test_a_number_with_a_plus_is_checked_for_any_business(shop: Shop) -> None:
    for business in (shop.world.london, "1", shop.world.closed):
        faults = shop.refused(businessId=business, user={"phoneNumber": "+1555"})
        assert codes(faults) == [("#/user/phoneNumber", "invalid_phone_number")]


def test_a_changed_region_applies_within_a_second(shop: Shop) -> None:
    installation = shop.server.installation
    made = installation.cli("business", "create", "--organization", shop.world.acme, "Acme Lyon", "--region", "US")
    business = str(made["id"])
    shop.send(businessId=business, user={"phoneNumber": "6175550199"})
    shop.database.change("UPDATE businesses SET default_region = 'FR' WHERE id = :id", id=int(business))

    def is_french() -> bool:
        thread_id = shop.send(businessId=business, user={"email": shop.somebody(), "phoneNumber": "0612349999"})
        return "+33612349999" in _numbers(shop, thread_id)

    ask_until_obeyed(is_french, "the old region still counts after 1 s")
