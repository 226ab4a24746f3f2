"""How dates, times and numbers are written, by language and region, from the data of Unicode's CLDR.

The package ``babel`` has these data for all languages and takes 33 MB. The file beside this module has what Shopbell
uses; ``make formats`` writes it from ``babel``.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".json")
"""``aliases`` has the canonical names of time zones. ``languages`` are the codes of all known languages.

``formats`` has what differs, for a region, from its language, and in ``cities``, from the time zone's name.
"""
FRACTION_DIGITS = 3
_HOUR_S = 60 * 60
_PATTERN = re.compile(r"'(?P<quoted>[^']*)'|(?P<field>([a-zA-Z])\3*)")
_FIELDS: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "EEEE": lambda words, at: str(words["days"][at.weekday()]),
    "MMMM": lambda words, at: str(words["months"][at.month - 1]),
    "MMM": lambda words, at: str(words["short_months"][at.month - 1]),
    "MM": lambda _, at: f"{at.month:02}",
    "dd": lambda _, at: f"{at.day:02}",
    "d": lambda _, at: str(at.day),
    "y": lambda _, at: str(at.year),
    "HH": lambda _, at: f"{at.hour:02}",
    "H": lambda _, at: str(at.hour),
    "h": lambda _, at: str(at.hour % 12 or 12),
    "mm": lambda _, at: f"{at.minute:02}",
    "a": lambda words, at: str(words["halves"][at.hour // 12]),
}
"""The fields of patterns, as in Unicode's report 35."""


class Formats:
    """How one language, or one region of it, writes.

    ``tag`` is a BCP 47 tag. ``parent`` is that of the region whose texts this region reads, if there is one.
    """

    def __init__(self, tag: str, data: Mapping[str, Any]) -> None:
        self.tag = tag
        self.language = tag.partition("-")[0]
        self.parent: str | None = data.get("parent")
        self.is_right_to_left: bool = data["is_right_to_left"]
        self._data = data

    def number(self, number: float, fraction_digits: int = FRACTION_DIGITS) -> str:
        """Format a number with at most so many digits after the decimal separator."""
        rounded = round(Decimal(str(number)), fraction_digits)
        whole, _, fraction = f"{abs(rounded):f}".partition(".")
        last, others = self._data["grouping"]
        groups = [whole[-last:]]
        rest = whole[:-last]
        while rest:
            groups.insert(0, rest[-others:])
            rest = rest[:-others]
        text = str(self._data["group"]).join(groups)
        if fraction := fraction.rstrip("0"):
            text += self._data["decimal"] + fraction
        return f"-{text}" if rounded.is_signed() else text

    def megabytes(self, number: float) -> str:
        """Format a number of megabytes with at most one decimal: ``10.5 MB``."""
        return str(self._data["megabytes"]).replace("{0}", self.number(number, 1))

    def kilobytes(self, number: float) -> str:
        """Format a number of kilobytes with at most one decimal: ``512 kB``."""
        return str(self._data["kilobytes"]).replace("{0}", self.number(number, 1))

    def short_date(self, day: date) -> str:
        """Format a date: ``Nov 22, 2026``."""
        return self._filled("date", day)

    def long_date(self, day: date) -> str:
        """Format a date with its weekday: ``Sunday, November 22, 2026``."""
        return self._filled("long_date", day)

    def short_time(self, at: time) -> str:
        """Format a time of day: ``9:33 PM``."""
        return self._filled("time", at)

    def together(self, date: str, time: str) -> str:
        """Join a date and a time."""
        return str(self._data["date_time"]).replace("{0}", time).replace("{1}", date)

    def offset(self, offset: timedelta) -> str:
        """Format an offset from UTC: ``GMT+05:30``."""
        hours, rest_s = divmod(offset.days * 24 * _HOUR_S + offset.seconds, _HOUR_S)
        return str(self._data["offset"]).replace("%s", f"{hours:+03}:{rest_s // 60:02}")

    def city(self, time_zone: str) -> str:
        """Return the name of a time zone's city: ``New York``."""
        canonical = _table()["aliases"].get(time_zone, time_zone)
        return str(self._data["cities"].get(canonical) or city_in(canonical))

    def _filled(self, name: str, at: date | time) -> str:
        def fill(found: re.Match[str]) -> str:
            return found["quoted"] if found["field"] is None else _FIELDS[found["field"]](self._data, at)

        return _PATTERN.sub(fill, self._data[name])


def city_in(time_zone: str) -> str:
    """Return the city in the name of a time zone."""
    return time_zone.partition("/")[2].replace("_", " ") or time_zone.replace("_", " ")


@cache
def of_language(code: str) -> Formats:
    """Return the formats of a language of our texts.

    Raises:
        KeyError: there are none.
    """
    return Formats(code, _table()["formats"][code])


@lru_cache(maxsize=512)  # bounded: regions are untrusted input
def of_region(language: str, region: str) -> Formats | None:
    """Return the formats of a region; None if the language has none for it.

    Args:
        language: one of our texts, in lower case.
        region: in upper case.
    """
    tag = f"{language}-{region}"
    base, own = _table()["formats"][language], _table()["formats"].get(tag)
    return None if own is None else Formats(tag, {**base, **own, "cities": base["cities"] | own.get("cities", {})})


def is_language(code: str) -> bool:
    """Whether this is the code of a language that CLDR knows."""
    return code in _table()["languages"].split()


def time_zones(region: str) -> tuple[str, ...]:
    """Return the IANA names of a country's time zones."""
    return tuple(_table()["time_zones"].get(region, ()))


@cache
def _table() -> Any:
    return json.loads(TABLE.read_text("utf-8"))
