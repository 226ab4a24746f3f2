"""Write the formats of dates and numbers from the data of babel: ``make formats``."""

import json
from collections.abc import Iterator
from datetime import date, time
from typing import Any

from babel import Locale, localedata
from babel.core import get_global
from babel.dates import format_date, format_time

from shopbell.i18n.cldr import TABLE, city_in
from shopbell.i18n.translations import LANGUAGES

_MONDAY = 2  # of January 2023


def table() -> dict[str, Any]:
    """Return the table, as ``cldr.TABLE`` has it."""
    known: list[str] = sorted(localedata.locale_identifiers())
    formats: dict[str, dict[str, Any]] = {}
    for locale in _locales(known):
        own = _formats(locale)
        if locale.territory:
            base = formats[locale.language]
            own["cities"] = dict(own["cities"].items() - base["cities"].items())
            own = {name: value for name, value in own.items() if value != base.get(name) and value != {}}
        formats[str(locale).replace("_", "-")] = own
    return {
        "aliases": dict(sorted(get_global("zone_aliases").items())),
        "languages": " ".join(name for name in known if "_" not in name),
        "time_zones": {region: list(zones) for region, zones in sorted(get_global("territory_zones").items())},
        "formats": formats,
    }


def _locales(known: list[str]) -> Iterator[Locale]:
    """Yield the languages of our texts, each before its regions. Scripts and variants are left out."""
    languages = {tag.partition("-")[0] for tag in LANGUAGES}
    for name in known:
        language, _, region = name.partition("_")
        if language in languages and (
            not region or (region.isalnum() and region.upper() == region and len(region) < 4)
        ):
            yield Locale(language, territory=region or None)


def _formats(locale: Locale) -> dict[str, Any]:
    symbols = locale.number_symbols["latn"]
    parent = get_global("parent_exceptions").get(str(locale), "").replace("_", "-")
    units = locale._data["unit_patterns"]  # noqa: SLF001 - babel gives no patterns
    return {
        **({"parent": parent} if parent in LANGUAGES else {}),
        "is_right_to_left": locale.character_order == "right-to-left",
        "decimal": symbols["decimal"],
        "group": symbols["group"],
        "grouping": list(locale.decimal_formats[None].grouping),
        "megabytes": _only(units["digital-megabyte"]["short"]),
        "kilobytes": _only(units["digital-kilobyte"]["short"]),
        "date": locale.date_formats["medium"].pattern,
        "long_date": locale.date_formats["full"].pattern,
        "time": locale.time_formats["short"].pattern,
        "date_time": str(locale.datetime_formats["medium"]),
        "offset": locale.zone_formats["gmt"],
        "months": [format_date(date(2023, month, 1), "MMMM", locale) for month in range(1, 13)],
        "short_months": [format_date(date(2023, month, 1), "MMM", locale) for month in range(1, 13)],
        "days": [format_date(date(2023, 1, _MONDAY + day), "EEEE", locale) for day in range(7)],
        "halves": [format_time(time(hour), "a", locale=locale) for hour in (9, 21)],
        "cities": dict(_cities(locale)),
    }


def _only(patterns: Any) -> str:
    """Return the pattern that all numbers have in common."""
    (pattern,) = {text for _, text in patterns.items()}
    return str(pattern)


def _cities(locale: Locale) -> Iterator[tuple[str, str]]:
    """Yield each time zone whose city has another name in this language."""
    for zone in sorted(get_global("zone_territories")):
        wider = locale.meta_zones.get(get_global("meta_zones").get(zone), {})
        city = locale.time_zones.get(zone, {}).get("city") or wider.get("city")
        if city and city != city_in(zone):
            yield zone, str(city)


if __name__ == "__main__":
    TABLE.write_text(json.dumps(table(), ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
