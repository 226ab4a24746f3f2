"""What is said of a business, brought into its normal form: pure rules, one for each value."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from unicodedata import category
from zoneinfo import available_timezones

from babel import localedata
from phonenumbers import SUPPORTED_REGIONS

from shopbell import identity, names
from shopbell.errors import CommandError, Fault, Invalid
from shopbell.hours import OpeningHours
from shopbell.storage.customer_schema import SURVEY_KINDS

NAME_MAX_CHARACTERS = 200
DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"


class BusinessChanges(TypedDict, total=False):
    """What to set of a business, as a person wrote it. An empty text takes an optional value away; ``opening_hours`` is
    the JSON that ``hours.py`` reads."""

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
    """Bring one value of a business into its normal form.

    Args:
        name: which one, by its name in ``BusinessChanges``.
        text: as a person wrote it.
        region: the region of phone numbers without a +.

    Raises:
        ValueError: it is wrong; the text is the end of a sentence (``must …``) and never repeats the value.
    """
    return _RULES[name].normal(text, region)


def columns_of(given: BusinessChanges, *, region: str | None) -> dict[str, Any]:
    """Bring all that is given of a business into its normal form.

    Args:
        given: as a person wrote it; what is not there is left out.
        region: the region of phone numbers without a +, unless a region is given, too.

    Returns:
        The columns to set.

    Raises:
        WrongValues: every fault at once, none of which repeats a value.
    """
    columns: dict[str, Any] = {name: given[name] for name in _SWITCHES if name in given}  # type: ignore[literal-required]
    wrong: list[tuple[str, str]] = []
    for name, rule in _RULES.items():
        text = cast("Mapping[str, str | None]", given).get(name)
        if text is None:
            continue
        try:
            # Phone numbers without a + are of the region that the business will have.
            columns[rule.column] = rule.normal(text, columns.get("default_region", region))
        except ValueError as fault:
            wrong.append((name, str(fault)))
    if wrong:
        raise WrongValues(wrong)
    return columns


def _normal_name(text: str, _: str | None) -> str:
    name = names.stored(text.strip())
    if not name or len(name) > NAME_MAX_CHARACTERS or any(category(character) in ("Cc", "Cs") for character in name):
        raise ValueError(f"must have 1 to {NAME_MAX_CHARACTERS} characters, none of them a control character")
    return name


def _normal_locale(text: str, _: str | None) -> str:
    tag = identity.normal_locale(text)
    # A customer's unknown language is kept and falls back; a business's is what is fallen back to.
    if not localedata.exists(tag.partition("-")[0]):
        raise ValueError(identity.INVALID_LOCALE)
    return tag


def _normal_region(text: str, _: str | None) -> str | None:
    region = text.upper()
    if region and region not in SUPPORTED_REGIONS:
        raise ValueError("must be the two letters of a country (ISO 3166) such as US or FR")
    return region or None


def _normal_time_zone(text: str, _: str | None) -> str:
    # UTC needs no time zone database; a machine without one knows no other.
    if text != DEFAULT_TIME_ZONE and text not in available_timezones():
        raise ValueError("must be a name of the IANA time zone database such as Europe/Paris")
    return text


def _valid_email(text: str, _: str | None) -> str | None:
    text = identity.visible(text)
    if text:
        identity.normal_email(text)
    return text or None


def _normal_phone(text: str, region: str | None) -> str | None:
    return identity.normal_phone(text, region) if text else None


def _normal_hours(text: str, _: str | None) -> str | None:
    if not text:
        return None
    try:
        hours = OpeningHours.from_json(json.loads(text), DEFAULT_TIME_ZONE)
    except (ValueError, RecursionError):
        raise ValueError('must be JSON such as {"weekly": {"mon": [["09:00", "18:00"]]}}') from None
    except Invalid as invalid:
        first = invalid.faults[0]
        raise ValueError(f"must be right at {first.name}, which {first.detail}") from None
    return json.dumps(hours.as_json())


def _normal_survey(text: str, _: str | None) -> str | None:
    if text not in ("", *SURVEY_KINDS):
        raise ValueError(f"must be {' or '.join(SURVEY_KINDS)}")
    return text or None


def _normal_color(text: str, _: str | None) -> str | None:
    if text and not re.fullmatch("#[0-9A-Fa-f]{6}", text):
        raise ValueError("must be a colour such as #8f4f00")
    return text.lower() or None


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a value must be: what people call it, the column, the code and the field of a request, its normal form."""

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
    "email": _Rule("e-mail address", "email", "invalid_email", "email", _valid_email),
    "phone": _Rule("phone number", "phone_number", "invalid_phone_number", "phoneNumber", _normal_phone),
    "forward_phone": _Rule(
        "forward phone number", "voice_forward_number", "invalid_phone_number", "forwardPhoneNumber", _normal_phone
    ),
    "opening_hours": _Rule("opening hours", "opening_hours", "invalid_format", "openingHours", _normal_hours),
    "survey": _Rule("survey", "survey", "invalid_value", "survey", _normal_survey),
    "brand_color": _Rule("brand color", "brand_color", "invalid_format", "brandColor", _normal_color),
}
_SWITCHES = {"invites_customers": "invitesCustomers", "tells_store": "tellsStore", "auto_replies": "autoReplies"}
"""What is on or off, with its field of a request."""


class WrongValues(CommandError):
    """Values of a business are wrong: one line for each on the command line, one fault for each in a request's body."""

    def __init__(self, wrong: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"the {_RULES[name].called} {detail}" for name, detail in wrong))
        self.faults = [Fault("body", f"#/{_RULES[name].field}", _RULES[name].code, detail) for name, detail in wrong]


def code_of(name: str) -> str:
    """The code of a fault of this value of a business."""
    return _RULES[name].code


def fields_of(names: Collection[str]) -> list[str]:
    """These values of a business, as the API calls them."""
    fields = {name: rule.field for name, rule in _RULES.items()} | _SWITCHES
    return [field for name, field in fields.items() if name in names]
