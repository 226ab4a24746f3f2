"""Translate the texts that Shopbell shows to customers, and format dates.

The source contains the English texts; ``locales/`` has a catalog for each other language. ``make catalogs`` updates the
catalogs and lists missing translations.
"""

import gettext
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from shopbell.i18n import cldr
from shopbell.i18n.cldr import Formats

LANGUAGES = ("en", "ar", "de", "es", "fr", "it", "nl", "pt-BR", "pt-PT")
"""The languages of the texts; the first is that of the source. Of two variants, the first one is the default."""
LOCALES = Path(__file__).parent / "locales"
DOMAIN = "shopbell"

_DEFAULTS = {tag.partition("-")[0]: tag for tag in reversed(LANGUAGES)}
_MEGABYTE = 1_000_000
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class Texts:
    """Shopbell's texts, dates and numbers in one language.

    ``tag`` names the catalog, for ``lang``; ``locale`` has the region, too: a reader in Austria has ``de``, ``de-AT``.
    """

    def __init__(self, tag: str, formats: Formats) -> None:
        self.tag = tag
        self.locale = formats.tag
        self.direction: Literal["ltr", "rtl"] = "rtl" if formats.is_right_to_left else "ltr"
        self._formats = formats
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
        """Format a number."""
        return self._formats.number(number)

    def file_size(self, length_bytes: int) -> str:
        """The size of a file as the widget's scripts write it, too: ``512 kB``, ``10.5 MB``; in French ``10,5 Mo``."""
        if length_bytes < _MEGABYTE:
            return self._formats.kilobytes(max(1, round(length_bytes / 1_000)))
        return self._formats.megabytes(round(length_bytes / _MEGABYTE, 1))

    def date_time(self, at_ms: int, time_zone: str) -> str:
        """Format a time in Unix ms as date and time: ``Nov 22, 2026, 9:33 PM``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        return self._formats.together(self.date(at_ms, time_zone), self.time(at_ms, time_zone))

    def date(self, at_ms: int, time_zone: str) -> str:
        """Format a time in Unix ms as a date: ``Nov 22, 2026``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        return self._formats.short_date(_local(at_ms, time_zone))

    def time(self, at_ms: int, time_zone: str) -> str:
        """Format a time in Unix ms as a time of day: ``9:33 PM``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        return self._formats.short_time(_local(at_ms, time_zone).time())

    def weekday_and_time(self, at_ms: int, time_zone: str) -> str:
        """Format a time in Unix ms: ``Monday, November 23, 2026, 9:00 AM``.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        day = self._formats.long_date(_local(at_ms, time_zone))
        return self._formats.together(day, self.time(at_ms, time_zone))

    def time_zone(self, at_ms: int, time_zone: str) -> str:
        """Name a time zone by its city (``New York``) or else its offset from UTC.

        Raises:
            ZoneInfoNotFoundError: this machine does not know the time zone.
        """
        local = _local(at_ms, time_zone)
        if time_zone.startswith("Etc/"):  # named after POSIX, whose sign is the other one
            return self._formats.offset(local.utcoffset() or timedelta())
        return self._formats.city(time_zone)


def folder_name(tag: str) -> str:
    """The folder of a catalog below ``LOCALES``, in the spelling of Babel: ``pt_BR``."""
    return tag.replace("-", "_")


def msgid(message: str) -> str:
    """Mark a constant for the catalogs; returns it unchanged, for a later ``gettext``."""
    return message


def for_locale(tag: str | None, *fallbacks: str | None) -> Texts:
    """Return the texts in the first supported language of some tags.

    Args:
        tag: the customer's BCP 47 tag, such as ``pt-BR``; invalid tags are ignored.
        fallbacks: further tags, such as the business's. English is the last fallback.
    """
    for candidate in (tag, *fallbacks):
        if candidate is not None and (found := _found(candidate[:35])) is not None:
            return found
    return _english()


@lru_cache(maxsize=512)  # bounded: tags are untrusted input
def _found(tag: str) -> Texts | None:
    language, _, region = tag.replace("_", "-").partition("-")
    language = language.lower()
    if language not in _DEFAULTS:
        return None
    for part in reversed(region.split("-")):
        if (found := cldr.of_region(language, part.upper())) is not None:
            return Texts(_variant(found), found)
    return Texts(_DEFAULTS[language], cldr.of_language(language))


def _variant(region: Formats) -> str:
    """The tag of the catalog for a region: by CLDR, Angola writes as Portugal does."""
    return next((tag for tag in (region.tag, region.parent) if tag in LANGUAGES), _DEFAULTS[region.language])


@lru_cache(maxsize=1)
def _english() -> Texts:
    return Texts(LANGUAGES[0], cldr.of_language(LANGUAGES[0]))


@lru_cache(maxsize=len(LANGUAGES))
def _catalog(tag: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALES, [folder_name(tag)])


def _local(at_ms: int, time_zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(time_zone))


def _filled(text: str, values: Mapping[str, object]) -> str:
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), text) if values else text
