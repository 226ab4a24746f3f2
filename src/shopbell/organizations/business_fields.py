"""The fields of a business: one rule for each that checks it and returns its normal form. Pure."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from unicodedata import category
from zoneinfo import available_timezones

from phonenumbers import SUPPORTED_REGIONS

from shopbell.db.schema.customers import SURVEY_KINDS
from shopbell.errors import CommandError, FieldError, Invalid
from shopbell.formats import identities, names
from shopbell.i18n import cldr
from shopbell.organizations.opening_hours import OpeningHours

NAME_MAX_CHARACTERS = 200
DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"


class BusinessChanges(TypedDict, total=False):
    """Fields to set, as entered. An empty text removes an optional value.

    ``opening_hours`` is the JSON of ``OpeningHours.from_json``.
    """

    name: str
    locale: str
    region: str
    time_zone: str
    email: str
    phone: str
    forward_phone: str
    opening_hours: str
    survey: str
    brand_color: str
    invites_customers: bool
    tells_store: bool
    auto_replies: bool


def check(name: str, text: str, *, region: str | None = None) -> str | None:
    """Check one field of a business and return its normal form.

    Args:
        name: its name in ``BusinessChanges``.
        text: its value, as entered.
        region: the region of phone numbers without a +.

    Raises:
        ValueError: it is not valid; the message is the end of a sentence (``must …``) and does not repeat the value.
    """
    return _RULES[name].normal(text, region)


def columns_of(given: BusinessChanges, *, region: str | None) -> dict[str, Any]:
    """Check the given fields of a business and return their normal forms.

    Args:
        given: the fields, as entered.
        region: the region of phone numbers without a +, unless ``given`` has one.

    Returns:
        The columns to set.

    Raises:
        WrongValues: with every field that is not valid.
    """
    columns: dict[str, Any] = {name: given[name] for name in _SWITCHES if name in given}  # type: ignore[literal-required]
    wrong: list[tuple[str, str]] = []
    for name, rule in _RULES.items():
        text = cast("Mapping[str, str | None]", given).get(name)
        if text is None:
            continue
        try:
            # Phone numbers without a + belong to the region that the business will have.
            columns[rule.column] = rule.normal(text, columns.get("default_region", region))
        except ValueError as fault:
            wrong.append((name, str(fault)))
    if wrong:
        raise WrongValues(wrong)
    return columns


def _normal_name(text: str, _: str | None) -> str:
    name = names.stored(text.strip())
    if not name or len(name) > NAME_MAX_CHARACTERS or any(category(character) in ("Cc", "Cs") for character in name):
        raise ValueError(f"must have 1 to {NAME_MAX_CHARACTERS} characters and no control characters")
    return name


def _normal_locale(text: str, _: str | None) -> str:
    tag = identities.normal_locale(text)
    # An unknown language of a customer falls back to that of the business, which must be known.
    if not cldr.is_language(tag.partition("-")[0]):
        raise ValueError(identities.INVALID_LOCALE)
    return tag


def _normal_region(text: str, _: str | None) -> str | None:
    region = text.upper()
    if region and region not in SUPPORTED_REGIONS:
        raise ValueError("must be a two-letter country code (ISO 3166) such as US or FR")
    return region or None


def _normal_time_zone(text: str, _: str | None) -> str:
    # A machine without a time zone database knows only UTC.
    if text != DEFAULT_TIME_ZONE and text not in available_timezones():
        raise ValueError("must be an IANA time zone such as Europe/Paris")
    return text


def _valid_email(text: str, _: str | None) -> str | None:
    text = identities.visible(text)
    if text:
        identities.normal_email(text)
    return text or None


def _normal_phone(text: str, region: str | None) -> str | None:
    return identities.normal_phone(text, region) if text else None


def _normal_hours(text: str, _: str | None) -> str | None:
    if not text:
        return None
    try:
        hours = OpeningHours.from_json(json.loads(text), DEFAULT_TIME_ZONE)
    except (ValueError, RecursionError):
        raise ValueError('must be JSON such as {"weekly": {"mon": [["09:00", "18:00"]]}}') from None
    except Invalid as invalid:
        first = invalid.errors[0]
        raise ValueError(f"has an error at {first.path}, which {first.detail}") from None
    return json.dumps(hours.as_json())


def _normal_survey(text: str, _: str | None) -> str | None:
    if text not in ("", *SURVEY_KINDS):
        raise ValueError(f"must be {' or '.join(SURVEY_KINDS)}")
    return text or None


def _normal_color(text: str, _: str | None) -> str | None:
    if text and not re.fullmatch("#[0-9A-Fa-f]{6}", text):
        raise ValueError("must be a color such as #8f4f00")
    return text.lower() or None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A field: its name in texts, its column, the code of its faults, its name in requests, and what checks it."""

    called: str
    column: str
    code: str
    field: str
    normal: Callable[[str, str | None], str | None]


_RULES = {
    "name": _Rule("name", "name", "invalid_format", "name", _normal_name),
    "locale": _Rule("locale", "locale", "invalid_locale", "locale", _normal_locale),
    "region": _Rule("region", "default_region", "invalid_value", "region", _normal_region),
    "time_zone": _Rule("time zone", "time_zone", "invalid_value", "timeZone", _normal_time_zone),
    "email": _Rule("email address", "email", "invalid_email", "email", _valid_email),
    "phone": _Rule("phone number", "phone_number", "invalid_phone_number", "phoneNumber", _normal_phone),
    "forward_phone": _Rule(
        "forward phone number", "voice_forward_number", "invalid_phone_number", "forwardPhoneNumber", _normal_phone
    ),
    "opening_hours": _Rule("opening hours", "opening_hours", "invalid_format", "openingHours", _normal_hours),
    "survey": _Rule("survey", "survey", "invalid_value", "survey", _normal_survey),
    "brand_color": _Rule("brand color", "brand_color", "invalid_format", "brandColor", _normal_color),
}
_SWITCHES = {"invites_customers": "invitesCustomers", "tells_store": "tellsStore", "auto_replies": "autoReplies"}
"""The fields that are on or off, with their names in requests."""


class WrongValues(CommandError):
    """Fields of a business are not valid. The text has a line for each, ``faults`` has those of a request's body."""

    def __init__(self, wrong: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"the {_RULES[name].called} {detail}" for name, detail in wrong))
        self.errors = [FieldError(_RULES[name].field, _RULES[name].code, detail) for name, detail in wrong]


def code_of(name: str) -> str:
    """The code of the faults of a field."""
    return _RULES[name].code


def fields_of(names: Collection[str]) -> list[str]:
    """The names in requests of these fields."""
    fields = {name: rule.field for name, rule in _RULES.items()} | _SWITCHES
    return [field for name, field in fields.items() if name in names]
