"""``user.locale``: validation and normal form."""

import pytest

from harness.shop import Shop, codes


def _locale(shop: Shop, thread_id: str) -> str | None:
    value = shop.database.value("SELECT locale FROM customers WHERE id = :id", id=shop.customer_of(thread_id))
    assert value is None or isinstance(value, str)
    return value


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en_US", "en-US"),
        ("en-us", "en-US"),
        ("en-US", "en-US"),
        ("fr_ca", "fr-CA"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("zh_Hans", "zh-Hans"),
        ("es-419", "es-419"),
        ("xx-YY", "xx-YY"),  # well-formed, although the language does not exist
        ("qaa", "qaa"),
    ],
)
def test_a_locale_is_stored_in_normal_form(shop: Shop, sent: str, kept: str) -> None:
    assert _locale(shop, shop.send(user={"email": shop.somebody(), "locale": sent})) == kept


def test_without_a_locale_none_is_stored(shop: Shop) -> None:
    assert _locale(shop, shop.send()) is None


def test_a_message_without_a_locale_keeps_the_known_one(shop: Shop) -> None:
    email = shop.somebody()
    shop.send(user={"email": email, "locale": "fr"})
    assert _locale(shop, shop.send(user={"email": email})) == "fr"


@pytest.mark.parametrize(
    "wrong", ["", " ", "e", "!", "en US", "en--US", "-en", "en-", "en_US.UTF-8", "français", "en\n", "12"]
)
def test_invalid_locales_are_refused(shop: Shop, wrong: str) -> None:
    faults = shop.refused(user={"email": shop.somebody(), "locale": wrong})
    assert codes(faults) == [("#/user/locale", "invalid_locale")]


def test_a_locale_of_more_than_35_characters_is_too_long(shop: Shop) -> None:
    shop.send(user={"email": shop.somebody(), "locale": "en-US-x-" + "a" * 8 + "-" + "b" * 8 + "-" + "c" * 8})
    (fault,) = shop.refused(user={"email": shop.somebody(), "locale": "en-US-x-" + "abcdefgh-" * 3 + "abc"})
    assert (fault["pointer"], fault["code"], fault["maxLength"]) == ("#/user/locale", "too_long", 35)
