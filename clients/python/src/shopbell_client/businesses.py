"""Manage businesses and employees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shopbell_client.call import Call, Done, Id, Pages, get, pages, path_segment, post
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """A business. Times are Unix milliseconds.

    Args:
        locale: the language of texts for customers, such as ``pt-BR``.
        region: the country of phone numbers without a country code, such as ``US``.
        time_zone: an IANA time zone, such as ``Europe/Paris``.
        email: the address for notifications about waiting conversations.
        invites_customers: whether new customers receive a link to their conversation.
        tells_store: whether the business is notified by email of waiting conversations.
        auto_replies: whether messages outside opening hours are answered automatically.
        opening_hours: ``{"weekly": {"mon": [["09:00", "18:00"]]}, "exceptions": […]}``, or None.
        survey: the survey that is sent when a conversation is resolved: ``nps``, ``csat`` or None.
        brand_color: the color of buttons, as ``#rrggbb``.
        active: whether customers can send messages to it.
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
    created_at_ms: int = json_field("createdAt")
    deactivated_at_ms: int | None = json_field("deactivatedAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """A current or former employee of the organization. Times are Unix milliseconds."""

    id: str
    name: str = field(repr=False)
    email: str | None = field(repr=False)
    active: bool
    created_at_ms: int = json_field("createdAt")
    deactivated_at_ms: int | None = json_field("deactivatedAt")


def businesses(*, page_size: int | None = None) -> Pages[Business]:
    """List all businesses, oldest first, including deactivated ones.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    return pages("/api/businesses", "businesses", Business, limit=page_size)


def business(business_id: Id) -> Call[Business]:
    """Get a business.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get(f"/api/businesses/{path_segment(business_id)}", Business)


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
    """Create a business. Customers can send messages to it immediately.

    Raises:
        ValidationFailed: 400.
        ShopbellError: any other failure.
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
    """Change a business. None leaves a field unchanged.

    An empty string removes a region, an address or a number. An empty mapping removes the opening hours.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(
        f"/api/businesses/{path_segment(business_id)}/update",
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
    """Deactivate a business. Customers can no longer send messages to it.

    Its conversations are kept.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/businesses/{path_segment(business_id)}/deactivate", Done)


def employees(*, active: bool | None = None, page_size: int | None = None) -> Pages[Employee]:
    """List employees, oldest first.

    ``active`` selects current (True) or former (False) employees.

    Raises:
        ShopbellError: any failure, raised while iterating.
    """
    return pages("/api/employees", "employees", Employee, active=active, limit=page_size)


def create_employee(name: str, *, email: str | None = None) -> Call[Employee]:
    """Create an employee.

    Raises:
        ValidationFailed: 400.
        Conflict: 409, another active employee has this address.
        ShopbellError: any other failure.
    """
    return post("/api/employees", Employee, name=name, email=email)


def update_employee(employee_id: Id, *, name: str | None = None, email: str | None = None) -> Call[Done]:
    """Change an employee.

    None leaves a field unchanged; an empty string removes the address.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        Conflict: 409, another active employee has this address.
        ShopbellError: any other failure.
    """
    return post(f"/api/employees/{path_segment(employee_id)}/update", Done, name=name, email=email)


def deactivate_employee(employee_id: Id) -> Call[Done]:
    """Deactivate an employee. Their messages are kept.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/employees/{path_segment(employee_id)}/deactivate", Done)
