"""Normal forms of email addresses, phone numbers and locales."""

import random
import re
import unicodedata
from collections.abc import Callable

import email_validator
import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shopbell.formats import identities
from shopbell.formats.identities import (
    normal_email,
    normal_locale,
    normal_phone,
    phone_key,
    phone_spellings,
    provider_phone,
)

# Characters that are near the border of what an address may hold.
near_emails = st.text(st.sampled_from("abzAZ019_+-.@.@!#'\" ()<>,;:\\\n\x00éÉßİıſKﬁ。．\u0301\u200d中"), max_size=80)
labels = st.text(st.sampled_from("abcxyzABC0189-"), min_size=1, max_size=66)
plain_emails = st.builds(
    lambda local, parts: f"{local}@{'.'.join(parts)}",
    st.text(st.sampled_from("abyzABYZ0189_+-."), min_size=1, max_size=66),
    st.lists(labels, min_size=1, max_size=5),
)
anything = st.text(max_size=60) | st.text(st.characters(categories=["Cs", "Cc", "Nd", "Zs", "L"]), max_size=20)
near_phones = st.text(st.sampled_from("+＋0123456789٣७ ()./-–\u00a0ext;,#*a"), max_size=45)
near_locales = st.text(st.sampled_from("aAbBzZxXiI01234-_-_"), max_size=40)
ALL_REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
regions = st.none() | st.sampled_from(["US", "FR", "GB", "DE", "BR", "AQ", "ZZ", ""])


def _or_refused(function: Callable[[], str]) -> str | None:
    """What a function returns; None when it raises the one error that it may raise, with no text of ours in it."""
    try:
        return function()
    except ValueError as error:
        told = str(error)
    assert told in (identities.INVALID_EMAIL, identities.INVALID_PHONE, identities.EXTENSION, identities.INVALID_LOCALE)
    return None


def _by_the_library(text: str) -> str | None:
    """What email-validator alone makes of an address."""
    if len(text) > identities.EMAIL_MAX_CHARACTERS:
        return None
    try:
        address = email_validator.validate_email(text, check_deliverability=False, strict=True)
    except email_validator.EmailNotValidError:
        return None
    return f"{unicodedata.normalize('NFC', address.local_part.casefold())}@{address.ascii_domain.lower()}"


@settings(max_examples=500, deadline=None)
@given(plain_emails | near_emails)
@example("a@b.co")
@example("a..b@example.com")
@example(".a@example.com")
@example("a@-b.com")
@example("a@b-.com")
@example("a@b--c.com")
@example("a@xn--bcher-kva.example")
@example("a@xn--a.example")
@example("a@ab--cd.example")
@example("a@example.c0m")
@example("a@1.2.3.4")
@example("a@example.123")
@example("a@localhost")
@example("a@example.local")
@example("a@example.test")
@example("a@x.invalid")
@example("a@4.3.2.1.in-addr.arpa")
@example("x" * 64 + "@example.com")
@example("x" * 65 + "@example.com")
@example("a@" + "b" * 63 + ".com")
@example("a@" + "b" * 64 + ".com")
@example("a@" + "b." * 30 + "com")
@example("a@" + "b." * 120 + "com")
@example("a@b.co\n")
def test_the_fast_path_for_plain_addresses_agrees_with_the_library(text: str) -> None:
    assert _or_refused(lambda: normal_email(text)) == _by_the_library(text)


@settings(max_examples=300, deadline=None)
@given(plain_emails | near_emails | anything)
@example("Bücher@BÜCHER.example")
@example("ΣΊΣΥΦΟΣ@example.com")
@example("İ@example.com")
@example("ŉ@example.com")
def test_normalising_an_email_address_twice_changes_nothing(text: str) -> None:
    normal = _or_refused(lambda: normal_email(text))
    if normal is not None:
        assert normal_email(normal) == normal


@settings(max_examples=300, deadline=None)
@given(plain_emails)
def test_addresses_are_case_insensitive(text: str) -> None:
    assert _or_refused(lambda: normal_email(text.upper())) == _or_refused(lambda: normal_email(text.lower()))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Carol@Example.COM", "carol@example.com"),
        ("carol@BÜCHER.example", "carol@xn--bcher-kva.example"),
        ("carol@bücher.example", "carol@xn--bcher-kva.example"),
        ("carol@xn--bcher-kva.example", "carol@xn--bcher-kva.example"),
        ("STRASSE@example.com", "strasse@example.com"),
        ("STRAßE@example.com", "straße@example.com"),  # ß is a letter of its own, and this mailbox another
    ],
)
def test_spellings_of_one_address_have_one_normal_form(text: str, normal: str) -> None:
    assert normal_email(text) == normal


@settings(max_examples=500, deadline=None)
@given(near_phones | anything, regions)
@example("+15551234567", None)
@example("+1 555 123 4567 ext. 9", "US")
@example("5551234567", None)
@example("+" + "9" * 20, None)
@example("+800 1234 5678", None)
def test_a_normalised_phone_number_is_e164_and_stays_the_same(text: str, region: str | None) -> None:
    normal = _or_refused(lambda: normal_phone(text, region))
    if normal is not None:
        assert normal[0] == "+"
        assert normal[1:].isascii()
        assert normal[1:].isdigit()
        assert len(normal) <= 16
        assert normal_phone(normal, None) == normal
        assert normal_phone(normal, "FR") == normal


def _by_the_library_alone(text: str, region: str | None) -> str | None:
    """What parsing makes of a phone number.

    Without the shortcut for E.164 and without the cache.
    """
    return _or_refused(lambda: identities._parsed_phone.__wrapped__(identities.visible(text), region))


def test_the_shortcut_for_e164_changes_no_result() -> None:
    chooser = random.Random(0)
    numbers = [
        f"+{beginning}{after}{''.join(chooser.choices('0123456789', k=length))}"
        for beginning in range(100, 1_000)
        for after in ("", *"0123456789")
        for length in (3, *chooser.sample(range(4, 12), 2))
    ]
    taken = [number for number in numbers if identities._is_plain(number)]
    for number in numbers:
        assert _or_refused(lambda: normal_phone(number, None)) == _by_the_library_alone(number, None), number  # noqa: B023
    assert 0.05 < len(taken) / len(numbers) < 0.95, "one side is hardly tested"


@settings(max_examples=500, deadline=None)
@given(
    near_phones | anything | st.from_regex(r"\+?[0-9]{6,15}", fullmatch=True), st.none() | st.sampled_from(ALL_REGIONS)
)
def test_neither_the_shortcut_nor_the_cache_changes_a_result(text: str, region: str | None) -> None:
    alone = _by_the_library_alone(text, region)
    for _ in range(2):
        assert _or_refused(lambda: normal_phone(text, region)) == alone


def test_few_phone_numbers_are_kept() -> None:
    for number in range(5_000):
        normal_phone(f"030 {number:08}", "DE")
    assert identities._parsed_phone.cache_info().currsize <= 4_096


@settings(max_examples=500, deadline=None)
@given(near_locales | anything)
@example("en_US")
@example("zh-hant-tw")
@example("de-DE-u-co-phonebk")
@example("x-" + "a" * 8)
def test_normalising_a_locale_twice_changes_nothing(text: str) -> None:
    normal = _or_refused(lambda: normal_locale(text))
    if normal is not None:
        assert normal_locale(normal) == normal
        assert normal_locale(normal.upper()) == normal
        assert normal_locale(normal.replace("-", "_").lower()) == normal
        assert len(normal) <= identities.LOCALE_MAX_CHARACTERS


@pytest.mark.parametrize("text", ["ſt", "\u212aa", "en-ſs", "eN\u0130"])
def test_letters_that_only_fold_to_ascii_are_invalid_in_a_locale(text: str) -> None:
    assert _or_refused(lambda: normal_locale(text)) is None


TWICE = [
    ("+5511987654321", "+551187654321"),
    ("+541155551234", "+5491155551234"),
    ("+525512345678", "+5215512345678"),
]


@pytest.mark.parametrize(("key", "other"), TWICE)
def test_both_spellings_of_a_number_have_one_key_and_stay_as_written(key: str, other: str) -> None:
    assert (normal_phone(key, None), normal_phone(other, None)) == (key, other)
    assert phone_key(key) == phone_key(other) == key
    assert phone_spellings(key) == phone_spellings(other) == [key, other]


@pytest.mark.parametrize(
    "number",
    ["+551123456789", "+551132345678", "+16175550142", "+33612345678", "+54911555512", "12345", "+5511887654321"],
)
def test_other_numbers_have_one_spelling(number: str) -> None:
    assert phone_key(number) == number
    assert phone_spellings(number) == [number]


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("(11) 8765-4321", "BR", "+551187654321"),
        ("011 15 5555-1234", "AR", "+5491155551234"),
        ("+54 11 15 5555-1234", None, "+5491155551234"),
        ("55 1234 5678", "MX", "+525512345678"),
        ("044 55 1234 5678", "MX", "+525512345678"),
        ("1 55 1234 5678", "MX", "+525512345678"),
        ("+52 1 55 1234 5678", "US", "+5215512345678"),
    ],
)
def test_a_number_is_parsed_in_local_notation(written: str, region: str | None, number: str) -> None:
    assert normal_phone(written, region) == number


@pytest.mark.parametrize(
    "pasted",
    [
        "\u202a+1 617 555 0142\u202c",
        "\u200e+16175550142",
        "\u00a0+1\u00a0617\u00a0555\u00a00142\u00a0",
        "  +1 617 555 0142 ",
        "\ufeff+1\u00ad617\u200b5550142",
        "\u2066(617) 555-0142\u2069",
    ],
)
def test_invisible_characters_in_a_pasted_number_are_ignored(pasted: str) -> None:
    assert normal_phone(pasted, "US") == "+16175550142"
    assert identities.looks_like_phone(pasted)


@pytest.mark.parametrize(
    "extended", ["+1 617 555 0142 ext. 5", "(617) 555-0142 x5", "+16175550142;ext=5", "+1 617 555 0142 #5"]
)
@pytest.mark.parametrize("region", ["US", None])
def test_an_extension_is_reported_as_an_extension(extended: str, region: str | None) -> None:
    with pytest.raises(ValueError, match=re.escape(identities.EXTENSION)):
        normal_phone(extended, region)


@pytest.mark.parametrize(
    ("sent", "region", "number"),
    [
        ("+16175550142", "FR", "+16175550142"),
        ("16175550142", "US", "+16175550142"),
        ("6172530142", "US", "+16172530142"),
        ("33612345678", "FR", "+33612345678"),
        ("33612345678", None, "+33612345678"),
        ("0612345678", "FR", "+33612345678"),
        ("5511987654321", "BR", "+5511987654321"),
        ("551187654321", "BR", "+551187654321"),
        ("5215512345678", "MX", "+5215512345678"),
        ("447911123456", "US", "+447911123456"),
        ("15551234567", None, "+15551234567"),
        ("12345", "DE", "12345"),
        ("80808", "DE", "80808"),
        ("ACME", "US", "ACME"),
    ],
)
def test_a_providers_number_gets_its_country_code(sent: str, region: str | None, number: str) -> None:
    assert provider_phone(sent, region) == number
