"""What the system itself says to people, in their languages. Pure.

English stands in the source; ``locales/`` has a catalog for each other language. ``make catalogs`` brings the catalogs
up to the source, and says what is not translated yet.
"""

import gettext
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_gmt, get_timezone_location
from babel.numbers import format_decimal

LANGUAGES = ("en", "ar", "de", "es", "fr", "it", "nl", "pt")
"""The languages that the system speaks; the first is that of the source."""
LOCALES = Path(__file__).parent / "locales"
DOMAIN = "shopbell"

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class Texts:
    """The system's texts in one language, and dates and times as people write them there.

    ``tag`` is the language's (``pt``), for ``lang``; ``locale`` is with its region (``pt-BR``): dates differ.
    """

    def __init__(self, tag: str, locale: Locale) -> None:
        self.tag = tag
        self.locale = str(locale).replace("_", "-")
        self.direction: Literal["ltr", "rtl"] = "rtl" if locale.character_order == "right-to-left" else "ltr"
        self._locale = locale
        self._catalog = gettext.NullTranslations() if tag == LANGUAGES[0] else _catalog(tag)

    def gettext(self, message: str, /, **values: object) -> str:
        """A text in this language; what has no translation stays English.

        Args:
            message: the English text, with ``{placeholders}``.
            values: what stands in their place, as it is: placeholders in a value are none. Without any value, those of
                the text stay.

        Raises:
            KeyError: some values were given, but not that of a placeholder.
        """
        return _filled(self._catalog.gettext(message), values) if message else ""

    def ngettext(self, singular: str, plural: str, count: int, /, **values: object) -> str:
        """A text about a number of things; ``{count}`` is filled with the number as it is written in this language.

        Raises:
            KeyError: the value of another placeholder was not given.
        """
        text = self._catalog.ngettext(singular, plural, count)
        return _filled(text, {**values, "count": self.number(count)})

    def number(self, number: float) -> str:
        """A number as it is written in this language."""
        return str(format_decimal(number, locale=self._locale))

    def date_time(self, at_ms: int, time_zone: str) -> str:
        """Date and time of day of a time in Unix ms, without seconds: ``Nov 22, 2026, 9:33 PM``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        return self._together(self.date(at_ms, time_zone), self.time(at_ms, time_zone))

    def date(self, at_ms: int, time_zone: str) -> str:
        """The date of a time in Unix ms: ``Nov 22, 2026``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        return str(format_date(_local(at_ms, time_zone), "medium", locale=self._locale))

    def time(self, at_ms: int, time_zone: str) -> str:
        """The time of day of a time in Unix ms: ``9:33 PM``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        return str(format_time(_local(at_ms, time_zone).time(), "short", locale=self._locale))

    def weekday_and_time(self, at_ms: int, time_zone: str) -> str:
        """Day of the week, date and time of day of a time in Unix ms: ``Monday, November 23, 2026, 9:00 AM``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        day = str(format_date(_local(at_ms, time_zone), "full", locale=self._locale))
        return self._together(day, self.time(at_ms, time_zone))

    def time_zone(self, at_ms: int, time_zone: str) -> str:
        """What people call a time zone: by its city (``New York``), or by its distance from UTC where it has none.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        if time_zone.startswith("Etc/"):  # named after POSIX, whose sign is the other one
            return str(get_timezone_gmt(_local(at_ms, time_zone), "long", locale=self._locale))
        return str(get_timezone_location(ZoneInfo(time_zone), locale=self._locale, return_city=True))

    def _together(self, date: str, time: str) -> str:
        return str(self._locale.datetime_formats["medium"]).replace("{0}", time).replace("{1}", date)


def msgid(message: str) -> str:
    """The text itself: marks a constant that ``gettext`` is called with later, so that it comes into the catalogs."""
    return message


def for_locale(tag: str | None, *fallbacks: str | None) -> Texts:
    """The texts for somebody who speaks this language, or the next best.

    Args:
        tag: a BCP 47 tag such as ``pt-BR``, the customer's; anything else is passed over.
        fallbacks: such as the business's. English comes last.
    """
    for candidate in (tag, *fallbacks):
        if candidate is not None and (found := _found(candidate[:35])) is not None:
            return found
    return _english()


@lru_cache(maxsize=512)  # bounded: tags come from strangers
def _found(tag: str) -> Texts | None:
    language, _, region = tag.replace("_", "-").partition("-")
    language = language.lower()
    if language not in LANGUAGES:
        return None
    for part in reversed(region.split("-")):
        try:
            return Texts(language, Locale(language, territory=part.upper()))
        except (UnknownLocaleError, ValueError):  # no region, or one that writes nothing in its own way
            continue
    return Texts(language, Locale(language))


@lru_cache(maxsize=1)
def _english() -> Texts:
    return Texts(LANGUAGES[0], Locale(LANGUAGES[0]))


@lru_cache(maxsize=len(LANGUAGES))
def _catalog(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALES, [language])


def _local(at_ms: int, time_zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(time_zone))


def _filled(text: str, values: Mapping[str, object]) -> str:
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), text) if values else text
