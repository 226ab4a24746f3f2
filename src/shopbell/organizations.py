"""Organizations and their businesses: make, change, list and deactivate them. Owns the tables of both."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from unicodedata import category
from zoneinfo import available_timezones

from babel import localedata
from phonenumbers import SUPPORTED_REGIONS
from sqlalchemy import Connection, insert, select, update

from shopbell import identity
from shopbell.errors import CommandError, Fault, Invalid
from shopbell.hours import OpeningHours
from shopbell.storage.customer_schema import SURVEY_KINDS
from shopbell.storage.ids import take_id
from shopbell.storage.schema import businesses, organizations

NAME_MAX_CHARACTERS = 200
DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"
KEEP_DAYS_MAX = 36_500
"""Longest time to keep messages or events, if not for ever."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A company whose customers write to its businesses."""

    id: int
    name: str
    created_at_ms: int
    keep_messages_days: int | None = None
    keep_events_days: int | None = None


@dataclass(frozen=True, slots=True)
class Business:
    """A store of an organization: what customers write to. Times are Unix ms; phone numbers are in E.164."""

    organization_id: int
    id: int
    name: str
    locale: str
    default_region: str | None
    time_zone: str
    email: str | None
    phone_number: str | None
    voice_forward_number: str | None
    created_at_ms: int
    deactivated_at_ms: int | None
    invites_customers: bool
    tells_store: bool
    auto_replies: bool
    opening_hours: str | None
    survey: str | None
    brand_color: str | None

    @property
    def active(self) -> bool:
        """Whether customers can write to it."""
        return self.deactivated_at_ms is None


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


def create(tx: Connection, name: str, *, now_ms: int) -> Organization:
    """Make an organization.

    Args:
        tx: the transaction.
        name: 1 to 200 characters.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: the name is blank, too long or holds what cannot be seen.
    """
    checked = _checked({"name": name}, region=None)
    organization = Organization(id=take_id(tx), name=str(checked["name"]), created_at_ms=now_ms)
    values = {"id": organization.id, "name": organization.name, "created_at_ms": now_ms}
    tx.execute(insert(organizations).values(values))
    return organization


def get(tx: Connection, organization_id: int) -> Organization:
    """The organization with an id.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(organizations).where(organizations.c.id == organization_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no organization {organization_id}; `shopbell organization list` shows them")
    return Organization(**row)


class OrganizationChanges(TypedDict, total=False):
    """What to set of an organization; how many days things are kept, None for ever."""

    name: str
    keep_messages_days: int | None
    keep_events_days: int | None


def change(tx: Connection, organization_id: int, changes: OrganizationChanges) -> Organization:
    """Change what is given of an organization and nothing else.

    Raises:
        CommandError: there is none, or the name is blank, too long or holds what cannot be seen.
    """
    get(tx, organization_id)
    columns: dict[str, object] = dict(changes)
    if "name" in changes:
        columns |= _checked({"name": changes["name"]}, region=None)
    if columns:
        tx.execute(update(organizations).where(organizations.c.id == organization_id).values(**columns))
    return get(tx, organization_id)


def find_all(tx: Connection) -> list[Organization]:
    """All organizations, the oldest first."""
    rows = tx.execute(select(organizations).order_by(organizations.c.id)).mappings()
    return [Organization(**row) for row in rows]


def create_business(tx: Connection, organization_id: int, given: BusinessChanges, *, now_ms: int) -> Business:
    """Make a business of an organization.

    Args:
        tx: the transaction.
        organization_id: its organization.
        given: at least its name; the locale is ``en`` and the time zone ``UTC`` unless given.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: there is no such organization.
        WrongValues: all that are wrong.
    """
    get(tx, organization_id)
    defaults: BusinessChanges = {"name": "", "locale": DEFAULT_LOCALE, "time_zone": DEFAULT_TIME_ZONE}
    columns = _checked({**defaults, **given}, region=None)
    _refuse_anothers(tx, organization_id, columns.get("phone_number"))
    business_id = take_id(tx)
    tx.execute(
        insert(businesses).values(organization_id=organization_id, id=business_id, created_at_ms=now_ms, **columns)
    )
    return get_business(tx, business_id)


def find_business(tx: Connection, organization_id: int, business_id: int) -> Business | None:
    """The business with an id if it is the organization's, active or not."""
    query = select(businesses).where(businesses.c.organization_id == organization_id, businesses.c.id == business_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else Business(**row)


def get_business(tx: Connection, business_id: int) -> Business:
    """The business with an id, of whichever organization.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(businesses).where(businesses.c.id == business_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no business {business_id}; `shopbell business list` shows them")
    return Business(**row)


def find_businesses(
    tx: Connection, organization_id: int | None = None, *, after_id: int = 0, limit: int | None = None
) -> list[Business]:
    """All businesses, or those of one organization, the oldest first, deactivated ones too.

    Args:
        tx: the transaction.
        organization_id: only of this organization.
        after_id: only those with a higher id.
        limit: how many at most; None for all.
    """
    query = select(businesses).where(businesses.c.id > after_id).order_by(businesses.c.id).limit(limit)
    if organization_id is not None:
        query = query.where(businesses.c.organization_id == organization_id)
    return [Business(**row) for row in tx.execute(query).mappings()]


def update_business(tx: Connection, business_id: int, changes: BusinessChanges) -> Business:
    """Change what is given of a business and nothing else.

    Raises:
        CommandError: there is no such business, or nothing was given.
        WrongValues: all that are wrong.
    """
    business = get_business(tx, business_id)
    if not changes:
        raise CommandError("nothing to change was given; `shopbell business update --help` lists what can be")
    return change_business(tx, business, changes)


def change_business(tx: Connection, business: Business, changes: BusinessChanges) -> Business:
    """Change what is given, at least one value, of a business that was found before, and nothing else.

    Raises:
        WrongValues: all that are wrong.
    """
    columns = _checked(changes, region=business.default_region)
    _refuse_anothers(tx, business.organization_id, columns.get("phone_number"))
    _set(tx, business, **columns)
    return get_business(tx, business.id)


def deactivate_business(tx: Connection, business_id: int, *, now_ms: int) -> Business:
    """Close a business to its customers: to them it does not exist any more; its conversations stay.

    Raises:
        CommandError: there is no such business.
    """
    business = get_business(tx, business_id)
    if business.active:
        _set(tx, business, deactivated_at_ms=now_ms)
    return get_business(tx, business_id)


def _refuse_anothers(tx: Connection, organization_id: int, number: str | None) -> None:
    """A number is one organization's: texts go out in its name, and what strangers write to it comes in."""
    c = businesses.c
    anothers = (c.phone_number == number, c.organization_id != organization_id, c.deactivated_at_ms.is_(None))
    if number and tx.execute(select(c.id).where(*anothers).limit(1)).first():
        raise WrongValues([("phone", "must not be another organization's")])


def _set(tx: Connection, business: Business, **columns: object) -> None:
    c = businesses.c
    tx.execute(
        update(businesses).where(c.organization_id == business.organization_id, c.id == business.id).values(**columns)
    )


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


def _checked(given: BusinessChanges, *, region: str | None) -> dict[str, Any]:
    """The columns to set, in normal form; all faults are raised together, and none of them repeats a value."""
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
    name = text.strip()
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
