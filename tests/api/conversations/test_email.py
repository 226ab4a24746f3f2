"""``user.email``: syntax, normal form and display."""

import pytest

from harness.shop import Shop, codes

WRONG = [
    "",
    " ",
    "\n",
    "carol",
    "carol@",
    "@example.com",
    "carol@@example.com",
    "carol@example",
    "carol@exa mple.com",
    "carol smith@example.com",
    " carol@example.com",
    "carol@example.com ",
    "carol@example.com\n",
    "carol@example.com\r\nBcc: dave@example.com",
    "carol\0@example.com",
    "carol@example..com",
    ".carol@example.com",
    "carol@-example.com",
    "Carol <carol@example.com>",
    "carol@example.com,dave@example.com",
    "mailto:carol@example.com ",
    "carol@[127.0.0.1",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_invalid_email_addresses_are_refused(shop: Shop, wrong: str) -> None:
    assert codes(shop.refused(user={"email": wrong})) == [("#/user/email", "invalid_email")]


def test_an_email_address_of_more_than_254_characters_is_too_long(shop: Shop) -> None:
    long = f"carol@{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.com"
    assert len(long) == 253
    shop.send(user={"email": long})
    (fault,) = shop.refused(user={"email": "xx" + long})
    assert (fault["pointer"], fault["code"], fault["maxLength"]) == ("#/user/email", "too_long", 254)


def test_an_invalid_email_address_is_refused_despite_a_valid_phone_number(shop: Shop) -> None:
    faults = shop.refused(user={"email": "nobody", "phoneNumber": shop.some_number()})
    assert codes(faults) == [("#/user/email", "invalid_email")]


@pytest.mark.parametrize("right", ["o'hara+shop{}@example.com", "a.b-c_d{}@mail.example.co.uk", "{}@example.museum"])
def test_unusual_email_addresses_are_valid(shop: Shop, right: str) -> None:
    shop.send(user={"email": right.format(shop.somebody().partition("@")[0])})


def test_a_domain_that_does_not_exist_is_not_looked_up(shop: Shop) -> None:
    shop.send(user={"email": f"carol@{shop.somebody().partition('@')[0]}.com"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("carol{}@example.com", "CAROL{}@example.com"),
        ("carol{}@example.com", "carol{}@EXAMPLE.Com"),
        ("carol{}@bücher.com", "carol{}@xn--bcher-kva.com"),
        ("carol{}@bücher.com", "Carol{}@BÜCHER.com"),
        ("carol{}@bücher.com", "carol{}@bu\u0308cher.com"),
        ("jörg{}@example.com", "JÖRG{}@example.com"),
        ("jörg{}@example.com", "jo\u0308rg{}@example.com"),
    ],
)
def test_two_spellings_of_one_email_address_are_one_customer(shop: Shop, one: str, other: str) -> None:
    unique = shop.somebody().partition("@")[0]
    first = shop.send(user={"email": one.format(unique)})
    assert shop.send(user={"email": other.format(unique)}) == first
    assert len(shop.identities(shop.customer_of(first))["email"]) == 1


def test_dots_and_tags_make_different_email_addresses(shop: Shop) -> None:
    unique = shop.somebody().partition("@")[0]
    spellings = [f"carol.{unique}@example.com", f"carol{unique}@example.com", f"carol{unique}+shop@example.com"]
    assert len({shop.send(user={"email": spelling}) for spelling in spellings}) == 3


def test_an_email_address_is_shown_as_first_sent(shop: Shop) -> None:
    unique = shop.somebody().partition("@")[0]
    thread_id = shop.send(user={"email": f"Carol.{unique}@Example.COM"})
    shop.send(user={"email": f"carol.{unique}@example.com"})
    customer = shop.server.installation.cli("customers", "show", shop.customer_of(thread_id))
    assert f"Carol.{unique}@Example.COM" in str(customer)
