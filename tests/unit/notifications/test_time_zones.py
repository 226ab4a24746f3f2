"""Automatic replies name the time zone if the customer's may differ."""

from datetime import UTC, datetime
from typing import Any

import phonenumbers
import pytest

from shopbell.i18n.translations import LANGUAGES, for_locale
from shopbell.notifications.phone_time_zones import time_zones_of
from shopbell.notifications.time_zones import differs

WINTER_MS = int(datetime(2026, 1, 15, tzinfo=UTC).timestamp() * 1_000)
# Summer time begins later in Europe than in North America.
MARCH_MS = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("phone", "locale", "expected"),
    [
        ("+16175550100", None, False),
        ("+12125550100", "fr-FR", False),  # the number counts first
        ("+13105550100", None, True),
        ("+447911123456", "en-US", True),
        ("+18005550100", None, False),  # may be anywhere
        (None, "en-GB", True),
        (None, "en-US", False),
        (None, "zh-Hant-TW", True),
        (None, "en", False),
        (None, None, False),
        ("12345", None, False),
        ("nonsense", "de-DE", True),
        (None, "en-XX", False),
    ],
)
def test_a_time_zone_differs_only_if_number_and_region_are_unambiguous(
    phone: str | None, locale: str | None, expected: bool
) -> None:
    assert differs("America/New_York", WINTER_MS, phone=phone, locale=locale) is expected


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("+12082015550", ("America/Denver",)),  # the longest prefix counts: 1 208 2 may also be further west
        ("+12082155550", ("America/Los_Angeles",)),
        ("+390612345678", ("Europe/Rome",)),  # a national number that begins with 0
        ("+39800123456", ("Europe/Rome", "Europe/Vatican")),  # toll-free: the time zones of the country code
        ("+80012345678", ()),  # toll-free in all countries
        ("+15551234567", ()),  # not valid
    ],
)
def test_a_number_has_the_time_zones_of_its_longest_prefix(phone: str, expected: tuple[str, ...]) -> None:
    assert time_zones_of(phonenumbers.parse(phone)) == expected


def test_the_clock_on_the_day_itself_is_compared() -> None:
    assert not differs("Europe/Paris", WINTER_MS, phone="+4930123456", locale=None)
    assert differs("America/New_York", WINTER_MS, phone="+18095550100", locale=None)  # Santo Domingo
    assert not differs("America/New_York", MARCH_MS, phone="+18095550100", locale=None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_time_zone_has_a_name_in_each_language(language: str) -> None:
    texts = for_locale(language)
    assert texts.time_zone(WINTER_MS, "Asia/Kolkata")
    assert texts.time_zone(WINTER_MS, "UTC") == "UTC"
    assert "5" in texts.time_zone(WINTER_MS, "Etc/GMT+5")


def test_a_closed_businesss_sms_names_the_time_zone_with_plain_spaces(open_post: Any) -> None:
    hours = '{"weekly": {}, "exceptions": [{"date": "2099-01-05", "intervals": [["09:00", "17:00"]]}]}'
    with open_post(sms_provider="folder", sms_cooldown_s=0) as post:
        post.business(
            opening_hours=hours, time_zone="America/New_York", invites_customers=False, phone_number="+16175550100"
        )
        post.shop.send(user={"phoneNumber": "+447911123456", "locale": "en-US"})
        (text,) = post.wait_for_texts(1)
    assert "We reopen on Monday, January 5, 2099, 9:00 AM (New York time)." in text["text"]


def test_a_closed_businesss_reply_to_the_same_time_zone_does_not_name_it(open_post: Any) -> None:
    hours = '{"weekly": {}, "exceptions": [{"date": "2099-01-05", "intervals": [["09:00", "17:00"]]}]}'
    with open_post(sms_provider="folder", sms_cooldown_s=0) as post:
        post.business(
            opening_hours=hours, time_zone="America/New_York", invites_customers=False, phone_number="+16175550100"
        )
        post.shop.send(user={"phoneNumber": "+16175550123", "locale": "en-US"})
        (text,) = post.wait_for_texts(1)
    assert "We reopen on Monday, January 5, 2099, 9:00 AM.\n" in text["text"]
