"""Tell whether a customer's clock differs from a business's, as far as phone number and locale say."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from babel.core import get_global
from phonenumbers import NumberParseException
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number


def differs(time_zone: str, at_ms: int, *, phone: str | None, locale: str | None) -> bool:
    """Whether a customer's clock surely shows another time than that of a time zone.

    A number or a country may have several time zones: the clock differs if all of them differ. Where nothing is known
    of the customer, it does not.

    Args:
        time_zone: IANA name.
        at_ms: when, in Unix ms: summer time begins on different days.
        phone: the customer's number in E.164, which counts first.
        locale: the customer's BCP 47 tag, whose region counts where there is no number.
    """
    zones = (_of_number(phone) if phone else ()) or (_of_region(locale) if locale else ())
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    offsets = {moment.astimezone(zone).utcoffset() for zone in map(_zone, zones) if zone is not None}
    return bool(offsets) and moment.astimezone(ZoneInfo(time_zone)).utcoffset() not in offsets


def _of_number(phone: str) -> tuple[str, ...]:
    try:
        zones: tuple[str, ...] = time_zones_for_number(phonenumbers.parse(phone))
    except NumberParseException:  # a short code
        return ()
    return tuple(zone for zone in zones if zone != UNKNOWN_TIMEZONE)


def _of_region(locale: str) -> tuple[str, ...]:
    regions = [part for part in locale.split("-")[1:] if len(part) == 2 and part.isupper()]
    return tuple(get_global("territory_zones").get(regions[0], ())) if regions else ()


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # the library's list may be newer than this machine's
        return None
