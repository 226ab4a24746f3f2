"""Organizations and their businesses: make, change, list and deactivate them. Owns the tables of both."""

from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy import Connection, insert, select, update

from shopbell.business_values import DEFAULT_LOCALE, DEFAULT_TIME_ZONE, BusinessChanges, WrongValues, columns_of
from shopbell.errors import CommandError
from shopbell.identity import phone_spellings
from shopbell.storage.ids import take_id
from shopbell.storage.schema import businesses, organizations

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


def create(tx: Connection, name: str, *, now_ms: int) -> Organization:
    """Make an organization.

    Args:
        tx: the transaction.
        name: 1 to 200 characters.
        now_ms: the time in Unix ms.

    Raises:
        CommandError: the name is blank, too long or holds what cannot be seen.
    """
    checked = columns_of({"name": name}, region=None)
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
        columns |= columns_of({"name": changes["name"]}, region=None)
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
    columns = columns_of({**defaults, **given}, region=None)
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
    columns = columns_of(changes, region=business.default_region)
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
    spellings = phone_spellings(number) if number else []
    anothers = (c.phone_number.in_(spellings), c.organization_id != organization_id, c.deactivated_at_ms.is_(None))
    if number and tx.execute(select(c.id).where(*anothers).limit(1)).first():
        raise WrongValues([("phone", "must not be another organization's")])


def _set(tx: Connection, business: Business, **columns: object) -> None:
    c = businesses.c
    tx.execute(
        update(businesses).where(c.organization_id == business.organization_id, c.id == business.id).values(**columns)
    )
