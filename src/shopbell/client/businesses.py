"""Businesses: the stores that customers write to, and who works for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shopbell.client.call import Call, Done, Id, Pages, get, pages, part, post
from shopbell.client.shape import named


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """A store. Times are Unix milliseconds.

    Args:
        locale: the language that customers are spoken to.
        region: the country of phone numbers without a ``+``.
        time_zone: its name in the IANA database.
        invites_customers: whether who writes first is sent a link to the conversation.
        tells_store: whether a conversation that waits is mailed to ``email``.
        auto_replies: whether who writes outside of the opening hours is told so.
        opening_hours: ``{"weekly": {"mon": [["09:00", "18:00"]]}, "exceptions": […]}``, or None.
        survey: ``nps``, ``csat`` or None: what customers are asked when a conversation is resolved.
        brand_color: of buttons, as ``#rrggbb``.
        active: whether customers can write to it.
    """

    id: str
    name: str
    locale: str
    region: str | None
    time_zone: str
    email: str | None = field(repr=False)
    phone_number: str | None = field(repr=False)
    forward_phone_number: str | None = field(repr=False)
    invites_customers: bool
    tells_store: bool
    auto_replies: bool
    opening_hours: Mapping[str, Any] | None
    survey: str | None
    brand_color: str | None
    active: bool
    created_at_ms: int = named("createdAt")
    deactivated_at_ms: int | None = named("deactivatedAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """Somebody who works, or worked, for the organization. Times are Unix milliseconds."""

    id: str
    name: str = field(repr=False)
    email: str | None = field(repr=False)
    active: bool
    created_at_ms: int = named("createdAt")
    deactivated_at_ms: int | None = named("deactivatedAt")


def businesses(*, page_size: int | None = None) -> Pages[Business]:
    """All businesses of the organization, the oldest first, closed ones among them.

    Raises:
        ShopbellError: for any reason, at any step.
    """
    return pages("/api/businesses", "businesses", Business, limit=page_size)


def business(business_id: Id) -> Call[Business]:
    """One business.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get(f"/api/businesses/{part(business_id)}", Business)


def create_business(
    name: str,
    *,
    locale: str | None = None,
    region: str | None = None,
    time_zone: str | None = None,
    email: str | None = None,
    phone_number: str | None = None,
    forward_phone_number: str | None = None,
    invites_customers: bool | None = None,
    tells_store: bool | None = None,
    auto_replies: bool | None = None,
    opening_hours: Mapping[str, Any] | None = None,
    survey: str | None = None,
    brand_color: str | None = None,
) -> Call[Business]:
    """Make a business; customers can write to it at once.

    Raises:
        ValidationFailed: 400.
        ShopbellError: any other reason.
    """
    return post(
        "/api/businesses",
        Business,
        name=name,
        locale=locale,
        region=region,
        timeZone=time_zone,
        email=email,
        phoneNumber=phone_number,
        forwardPhoneNumber=forward_phone_number,
        invitesCustomers=invites_customers,
        tellsStore=tells_store,
        autoReplies=auto_replies,
        openingHours=opening_hours,
        survey=survey,
        brandColor=brand_color,
    )


def update_business(
    business_id: Id,
    *,
    name: str | None = None,
    locale: str | None = None,
    region: str | None = None,
    time_zone: str | None = None,
    email: str | None = None,
    phone_number: str | None = None,
    forward_phone_number: str | None = None,
    invites_customers: bool | None = None,
    tells_store: bool | None = None,
    auto_replies: bool | None = None,
    opening_hours: Mapping[str, Any] | None = None,
    survey: str | None = None,
    brand_color: str | None = None,
) -> Call[Done]:
    """Change a business; what is None stays, an empty text takes a region, address or number away,
    an empty mapping the opening hours.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(
        f"/api/businesses/{part(business_id)}/update",
        Done,
        name=name,
        locale=locale,
        region=region,
        timeZone=time_zone,
        email=email,
        phoneNumber=phone_number,
        forwardPhoneNumber=forward_phone_number,
        invitesCustomers=invites_customers,
        tellsStore=tells_store,
        autoReplies=auto_replies,
        openingHours=opening_hours,
        survey=survey,
        brandColor=brand_color,
    )


def deactivate_business(business_id: Id) -> Call[Done]:
    """Close a business to its customers; its conversations stay.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/businesses/{part(business_id)}/deactivate", Done)


def employees(*, active: bool | None = None, page_size: int | None = None) -> Pages[Employee]:
    """Employees, the oldest first: all, those who have not left, or those who have.

    Raises:
        ShopbellError: for any reason, at any step.
    """
    return pages("/api/employees", "employees", Employee, active=active, limit=page_size)


def create_employee(name: str, *, email: str | None = None) -> Call[Employee]:
    """Make an employee.

    Raises:
        ValidationFailed: 400.
        Conflict: 409, another active one has that address.
        ShopbellError: any other reason.
    """
    return post("/api/employees", Employee, name=name, email=email)


def update_employee(employee_id: Id, *, name: str | None = None, email: str | None = None) -> Call[Done]:
    """Change an employee; what is None stays, an empty text takes the address away.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, another active one has that address.
        ShopbellError: any other reason.
    """
    return post(f"/api/employees/{part(employee_id)}/update", Done, name=name, email=email)


def deactivate_employee(employee_id: Id) -> Call[Done]:
    """Let an employee leave; what they wrote stays.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/employees/{part(employee_id)}/deactivate", Done)
