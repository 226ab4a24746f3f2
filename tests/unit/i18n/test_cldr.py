"""The formats of dates and numbers are those of babel, from which their table is written."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from babel.core import get_global
from babel.dates import format_date, format_time, get_timezone_gmt, get_timezone_location
from babel.numbers import format_decimal
from babel.units import format_unit

from shopbell.i18n import cldr, cldr_table
from shopbell.i18n.cldr import TABLE, Formats
from shopbell.i18n.extract import SOURCE

TAGS = list(json.loads(TABLE.read_text("utf-8"))["formats"])
LANGUAGES = sorted({tag.partition("-")[0] for tag in TAGS})
DAYS = [date(2026, 1, 1) + timedelta(days=29 * step) for step in range(14)]
TIMES = [time(0, 5), time(9, 0), time(12, 59), time(21, 33)]
NUMBERS = [0, 7, 999, 1000, 12_345, 1_234_567, -1234, 0.5, 1.0005, 1234.5678, -0.25]
SIZES = [2, 512, 10.5, 1000]  # where CLDR has no singular, babel writes "1 Mbyte"
MOMENTS = [datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 7, 15, 12, tzinfo=UTC)]
FEW_ZONES = ("America/New_York", "Asia/Calcutta", "Africa/El_Aaiun", "Pacific/Apia")
ZONES = sorted(set(get_global("zone_territories")) | set(get_global("zone_aliases")))


def test_the_table_is_what_babel_has_now() -> None:
    written = json.loads(TABLE.read_text("utf-8"))
    assert written == cldr_table.table(), "run `make formats`"


def test_no_other_module_needs_babel() -> None:
    imports = re.compile(r"^\s*(from|import) babel", re.MULTILINE)
    importing = {path.name for path in SOURCE.rglob("*.py") if imports.search(path.read_text())}
    assert importing == {"cldr_table.py", "extract.py"}


def test_the_table_has_each_region_of_our_languages() -> None:
    assert {"en", "en-US", "en-IN", "ar-EG", "de-AT", "es-419", "fr-CA", "it-CH", "nl-BE", "pt-BR", "pt-AO"} <= set(
        TAGS
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_dates_times_and_numbers_are_written_as_by_babel(language: str) -> None:
    for formats, locale in all_of(language):
        for day in DAYS:
            assert formats.short_date(day) == format_date(day, "medium", locale)
            assert formats.long_date(day) == format_date(day, "full", locale)
        for at in TIMES:
            assert formats.short_time(at) == format_time(at, "short", locale=locale)
        for number in NUMBERS:
            assert formats.number(number) == format_decimal(number, locale=locale)
        for size in SIZES:
            assert formats.megabytes(size) == unit(size, "digital-megabyte", locale)
            assert formats.kilobytes(size) == unit(size, "digital-kilobyte", locale)
        assert formats.is_right_to_left == (locale.character_order == "right-to-left")
        assert formats.together("D", "T") == str(locale.datetime_formats["medium"]).format("T", "D")


@pytest.mark.parametrize("language", LANGUAGES)
def test_time_zones_are_named_as_by_babel(language: str) -> None:
    for formats, locale in all_of(language):
        for zone in FEW_ZONES if locale.territory else ZONES:
            assert formats.city(zone) == get_timezone_location(Named(zone), locale=locale, return_city=True), zone
        for zone in ("Etc/GMT+5", "Etc/GMT-14", "Asia/Kolkata", "America/St_Johns"):
            for moment in MOMENTS:
                local = moment.astimezone(ZoneInfo(zone))
                written = formats.offset(local.utcoffset() or timedelta())
                assert written == get_timezone_gmt(local, "long", locale=locale)


def test_a_language_without_texts_is_known_and_a_wrong_one_is_not() -> None:
    assert cldr.is_language("ja")
    assert not cldr.is_language("xx")
    assert not cldr.is_language("de-AT")


def test_a_country_has_its_time_zones() -> None:
    assert cldr.time_zones("PT") == tuple(get_global("territory_zones")["PT"])
    assert cldr.time_zones("XX") == ()


def all_of(language: str) -> Iterator[tuple[Formats, Locale]]:
    """The formats of a language and its regions, as we and as babel have them."""
    yield cldr.of_language(language), Locale(language)
    for region in (tag.partition("-")[2] for tag in TAGS if tag.startswith(f"{language}-")):
        formats = cldr.of_region(language, region)
        assert formats is not None
        yield formats, Locale(language, territory=region)


def unit(size: float, name: str, locale: Locale) -> str:
    return format_unit(size, name, "short", format="#,##0.#", locale=locale)


class Named:
    """A time zone that babel only asks for its name."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
