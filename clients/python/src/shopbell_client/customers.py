"""Read, change, block, erase and export customers."""

from dataclasses import dataclass, field
from typing import Any

from shopbell_client.call import Call, Done, Id, Pages, Response, get, pages, path_segment, post
from shopbell_client.shape import json_field


@dataclass(frozen=True, slots=True)
class CustomerAttribute:
    """A name and a value that a program stored with a customer."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyAnswer:
    """A customer's latest answer to a survey. The time is in Unix milliseconds."""

    created_at_ms: int = json_field("createdAt")
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastSurveys:
    """The latest answer to each survey; None if there is none."""

    nps: SurveyAnswer | None
    preferred_channel: SurveyAnswer | None


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """A customer's profile. Its ``repr`` contains no personal data."""

    id: str
    type: str
    editable: bool
    channel: str | None
    last_surveys: LastSurveys
    customer_data: tuple[CustomerAttribute, ...]
    picture_href: str | None = field(repr=False)
    display_name: str | None = field(repr=False)
    email_address: str | None = field(repr=False)
    phone_number: str | None = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    company: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer in a list.

    Its ``repr`` contains no personal data. Times are Unix milliseconds.
    """

    id: str
    display_name: str = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    company: str | None = field(repr=False)
    email_addresses: tuple[str, ...] = field(repr=False)
    phone_numbers: tuple[str, ...] = field(repr=False)
    locale: str | None
    created_at_ms: int = json_field("createdAt")
    blocked_at_ms: int | None = json_field("blockedAt")


def customers(
    *,
    email: str | None = None,
    phone_number: str | None = None,
    name: str | None = None,
    page_size: int | None = None,
) -> Pages[Customer]:
    """List customers, newest first. Each argument narrows the list.

    Args:
        email: customers with this email address.
        phone_number: customers with this phone number, with country code.
        name: customers whose name or company contains this text.
        page_size: customers per request, 1 to 200. The default is the server's.

    Raises:
        ValidationFailed: 400.
        ShopbellError: any other failure, raised while iterating.
    """
    return pages(
        "/api/customers", "customers", Customer, email=email, phoneNumber=phone_number, name=name, limit=page_size
    )


def customer_profile(customer_id: Id) -> Call[CustomerProfile]:
    """Get a customer's profile.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get(f"/api/customers/{path_segment(customer_id)}/profile", CustomerProfile)


def update_customer_profile(
    customer_id: Id, *, first_name: str | None = None, last_name: str | None = None, company: str | None = None
) -> Call[Done]:
    """Change a customer's profile.

    None leaves a field unchanged; an empty string removes it.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    path = f"/api/customers/{path_segment(customer_id)}/profile/update"
    return post(path, Done, firstName=first_name, lastName=last_name, company=company)


def block_customer(customer_id: Id) -> Call[Done]:
    """Block a customer: set their messages aside. The customer is not notified.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/customers/{path_segment(customer_id)}/block", Done)


def unblock_customer(customer_id: Id) -> Call[Done]:
    """Unblock a customer. Messages that they sent while blocked stay set aside.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/customers/{path_segment(customer_id)}/unblock", Done)


def erase_customer(customer_id: Id) -> Call[Done]:
    """Erase a customer's personal data permanently. It is safe to repeat the call.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/customers/{path_segment(customer_id)}/erase", Done)


def export_customer(customer_id: Id) -> Call[dict[str, Any]]:
    """Export all data stored about a customer, as one JSON object.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return Call(method="GET", path=f"/api/customers/{path_segment(customer_id)}/export", parse=Response.json)
