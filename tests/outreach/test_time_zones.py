"""A time in an automatic reply names its time zone where the customer's clock shows another one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shopbell.outreach.time_zones import differs
from shopbell.texts import LANGUAGES, for_locale

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
def test_a_clock_differs_where_number_and_region_leave_no_doubt(
    phone: str | None, locale: str | None, expected: bool
) -> None:
    assert differs("America/New_York", WINTER_MS, phone=phone, locale=locale) is expected


def test_what_counts_is_the_clock_on_that_day() -> None:
    assert not differs("Europe/Paris", WINTER_MS, phone="+4930123456", locale=None)
    assert differs("America/New_York", WINTER_MS, phone="+18095550100", locale=None)  # Santo Domingo
    assert not differs("America/New_York", MARCH_MS, phone="+18095550100", locale=None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_time_zone_has_a_name_in_each_language(language: str) -> None:
    texts = for_locale(language)
    assert texts.time_zone(WINTER_MS, "Asia/Kolkata")
    assert texts.time_zone(WINTER_MS, "UTC") == "UTC"
    assert "5" in texts.time_zone(WINTER_MS, "Etc/GMT+5")


def test_a_closed_shops_reply_by_text_names_the_time_zone_and_has_plain_spaces(open_post: Any) -> None:
    hours = '{"weekly": {}, "exceptions": [{"date": "2099-01-05", "intervals": [["09:00", "17:00"]]}]}'
    with open_post(sms_provider="folder", sms_cooldown_s=0) as post:
        post.business(
            opening_hours=hours, time_zone="America/New_York", invites_customers=False, phone_number="+16175550100"
        )
        post.shop.send(user={"phoneNumber": "+447911123456", "locale": "en-US"})
        (text,) = post.wait_for_texts(1)
    assert "open again Monday, January 5, 2099, 9:00 AM (New York time)." in text["text"]


def test_a_closed_shops_reply_to_the_neighbourhood_names_no_time_zone(open_post: Any) -> None:
    hours = '{"weekly": {}, "exceptions": [{"date": "2099-01-05", "intervals": [["09:00", "17:00"]]}]}'
    with open_post(sms_provider="folder", sms_cooldown_s=0) as post:
        post.business(
            opening_hours=hours, time_zone="America/New_York", invites_customers=False, phone_number="+16175550100"
        )
        post.shop.send(user={"phoneNumber": "+16175550123", "locale": "en-US"})
        (text,) = post.wait_for_texts(1)
    assert "open again Monday, January 5, 2099, 9:00 AM.\n" in text["text"]
