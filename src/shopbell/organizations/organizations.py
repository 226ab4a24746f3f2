"""Organizations and their businesses: create, change, list and deactivate them. Owns both tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy import Connection, insert, select, update

from shopbell.db.businesses import Businesses, is_among
from shopbell.db.ids import take_id
from shopbell.db.lock_order import lock_job
from shopbell.db.schema.core import businesses, organizations
from shopbell.errors import CommandError, NotFound
from shopbell.events import audit, record
from shopbell.events.actors import Actor
from shopbell.formats.identities import phone_spellings
from shopbell.organizations.business_fields import (
    DEFAULT_LOCALE,
    DEFAULT_TIME_ZONE,
    BusinessChanges,
    WrongValues,
    columns_of,
    fields_of,
)

KEEP_DAYS_MAX = 36_500
"""The longest time, in days, to keep messages or events, other than forever."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A company whose customers write to its businesses."""

    id: int
    name: str
    created_at_ms: int
    keep_messages_days: int | None = None
    keep_events_days: int | None = None
    requires_second_factor: bool = False


@dataclass(frozen=True, slots=True)
class Business:
    """A shop, branch or department that customers write to.

    Times are Unix ms; phone numbers are in E.164.
    """

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


def create(tx: Connection, name: str, *, actor: str, now_ms: int) -> Organization:
    """Create an organization.

    Args:
        name: 1 to 200 characters.
        actor: who creates it, as the audit log names them.

    Raises:
        CommandError: the name is blank or too long, or has control characters.
    """
    checked = columns_of({"name": name}, region=None)
    organization = Organization(id=take_id(tx), name=str(checked["name"]), created_at_ms=now_ms)
    values = {"id": organization.id, "name": organization.name, "created_at_ms": now_ms}
    tx.execute(insert(organizations).values(values))
    subject = f"organization {organization.id}"
    audit.record(tx, organization.id, actor, audit.ORGANIZATION_CREATED, subject, now_ms=now_ms)
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
    """Fields to set; None days mean forever."""

    name: str
    keep_messages_days: int | None
    keep_events_days: int | None
    requires_second_factor: bool


def change(
    tx: Connection, organization_id: int, changes: OrganizationChanges, *, actor: str, now_ms: int
) -> Organization:
    """Set the given fields of an organization; without any, nothing changes.

    Raises:
        CommandError: there is no such organization, or the name is blank or too long, or has control characters.
    """
    get(tx, organization_id)
    columns: dict[str, object] = dict(changes)
    if "name" in changes:
        columns |= columns_of({"name": changes["name"]}, region=None)
    if columns:
        tx.execute(update(organizations).where(organizations.c.id == organization_id).values(**columns))
        subject = f"organization {organization_id}"
        audit.record(tx, organization_id, actor, "organization.update", subject, now_ms=now_ms)
    return get(tx, organization_id)


def find_all(tx: Connection) -> list[Organization]:
    """All organizations, the oldest first."""
    rows = tx.execute(select(organizations).order_by(organizations.c.id)).mappings()
    return [Organization(**row) for row in rows]


def create_business(
    tx: Connection, organization_id: int, given: BusinessChanges, *, actor: Actor, now_ms: int
) -> Business:
    """Create a business of an organization.

    Args:
        organization_id: its organization.
        given: at least its name; the locale is ``en`` and the time zone ``UTC`` unless given.
        actor: who creates it.

    Raises:
        CommandError: there is no such organization.
        WrongValues: with every value that is not valid.
    """
    get(tx, organization_id)
    defaults: BusinessChanges = {"name": "", "locale": DEFAULT_LOCALE, "time_zone": DEFAULT_TIME_ZONE}
    columns = columns_of({**defaults, **given}, region=None)
    _refuse_foreign_number(tx, organization_id, columns.get("phone_number"))
    business_id = take_id(tx)
    tx.execute(
        insert(businesses).values(organization_id=organization_id, id=business_id, created_at_ms=now_ms, **columns)
    )
    audit.record(tx, organization_id, actor.name, "business.create", f"business {business_id}", now_ms=now_ms)
    record.record(tx, organization_id, "business-created", actor=actor, now_ms=now_ms, business_id=business_id)
    return get_business(tx, organization_id, business_id)


def find_business(tx: Connection, organization_id: int, business_id: int) -> Business | None:
    """The organization's business with an id, active or not; None if there is none."""
    query = select(businesses).where(businesses.c.organization_id == organization_id, businesses.c.id == business_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else Business(**row)


def get_business(tx: Connection, organization_id: int, business_id: int) -> Business:
    """As ``find_business``.

    Raises:
        NotFound: 404.
    """
    business = find_business(tx, organization_id, business_id)
    if business is None:
        raise NotFound("businessId")
    return business


def organization_of_business(tx: Connection, business_id: int) -> int:
    """The organization of a business, for operators, who name a business by its id alone.

    Raises:
        CommandError: there is no such business.
    """
    found: int | None = tx.scalar(select(businesses.c.organization_id).where(businesses.c.id == business_id))
    if found is None:
        raise CommandError(f"there is no business {business_id}; `shopbell business list` shows them")
    return found


def find_businesses(
    tx: Connection,
    organization_id: int | None = None,
    *,
    among: Businesses = None,
    after_id: int = 0,
    limit: int | None = None,
) -> list[Business]:
    """Businesses, including deactivated ones, the oldest first.

    Args:
        organization_id: only of this organization.
        among: only these.
        after_id: only those with a higher id.
        limit: how many at most; None for all.
    """
    c = businesses.c
    query = select(businesses).where(c.id > after_id, is_among(c.id, among)).order_by(c.id).limit(limit)
    if organization_id is not None:
        query = query.where(c.organization_id == organization_id)
    return [Business(**row) for row in tx.execute(query).mappings()]


def update_business(
    tx: Connection, organization_id: int, business_id: int, changes: BusinessChanges, *, actor: Actor, now_ms: int
) -> Business:
    """Set the given fields of a business; without any, nothing changes.

    Raises:
        NotFound: 404.
        WrongValues: with every value that is not valid.
    """
    business = get_business(tx, organization_id, business_id)
    if not changes:
        return business
    columns = columns_of(changes, region=business.default_region)
    _refuse_foreign_number(tx, organization_id, columns.get("phone_number"))
    return _set(tx, business, columns, "business.update", fields_of(changes), actor=actor, now_ms=now_ms)


def deactivate_business(
    tx: Connection, organization_id: int, business_id: int, *, actor: Actor, now_ms: int
) -> Business:
    """Close a business to customers: to them it no longer exists. Its conversations stay.

    Raises:
        NotFound: 404.
    """
    business = get_business(tx, organization_id, business_id)
    if not business.active:
        return business
    columns = {"deactivated_at_ms": now_ms}
    return _set(tx, business, columns, "business.deactivate", ["active"], actor=actor, now_ms=now_ms)


def _refuse_foreign_number(tx: Connection, organization_id: int, number: str | None) -> None:
    """A phone number belongs to one organization: incoming texts are assigned by it."""
    if not number:
        return
    lock_job(tx, "phone numbers")  # otherwise two organizations that set the same number do not see each other
    c = businesses.c
    spellings = phone_spellings(number)
    elsewhere = (c.phone_number.in_(spellings), c.organization_id != organization_id, c.deactivated_at_ms.is_(None))
    if tx.execute(select(c.id).where(*elsewhere).limit(1)).first():
        raise WrongValues([("phone", "must not belong to another organization")])


def _set(
    tx: Connection,
    business: Business,
    columns: Mapping[str, object],
    action: str,
    changed_fields: Sequence[str],
    *,
    actor: Actor,
    now_ms: int,
) -> Business:
    organization_id, c = business.organization_id, businesses.c
    tx.execute(update(businesses).where(c.organization_id == organization_id, c.id == business.id).values(**columns))
    audit.record(tx, organization_id, actor.name, action, f"business {business.id}", now_ms=now_ms)
    details = {"changed": list(changed_fields)}
    record.record(
        tx, organization_id, "business-updated", actor=actor, now_ms=now_ms, business_id=business.id, details=details
    )
    return get_business(tx, organization_id, business.id)
