"""Compare a customer's clock with a business's, by phone number and locale."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import NumberParseException

from shopbell.i18n import cldr
from shopbell.notifications.phone_time_zones import time_zones_of


def differs(time_zone: str, at_ms: int, *, phone: str | None, locale: str | None) -> bool:
    """Whether a customer's clock certainly differs from that of a time zone.

    A number or a country may have several time zones: the clock differs if all of them differ. If nothing is known of
    the customer, it does not.

    Args:
        time_zone: IANA name.
        at_ms: the time in Unix ms: summer time starts on different days.
        phone: the customer's number in E.164; decides if there is one.
        locale: the customer's BCP 47 tag, whose region decides otherwise.
    """
    zones = (_of_number(phone) if phone else ()) or (_of_region(locale) if locale else ())
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    offsets = {moment.astimezone(zone).utcoffset() for zone in map(_zone, zones) if zone is not None}
    return bool(offsets) and moment.astimezone(ZoneInfo(time_zone)).utcoffset() not in offsets


def _of_number(phone: str) -> tuple[str, ...]:
    try:
        return time_zones_of(phonenumbers.parse(phone))
    except NumberParseException:  # a short code
        return ()


def _of_region(locale: str) -> tuple[str, ...]:
    regions = [part for part in locale.split("-")[1:] if len(part) == 2 and part.isupper()]
    return cldr.time_zones(regions[0]) if regions else ()


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # the library's list may be newer than that of this machine
        return None
