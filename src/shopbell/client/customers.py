"""Customers: who they are."""

from dataclasses import dataclass, field
from typing import Any

from shopbell.client.call import Answer, Call, Done, Id, Pages, get, pages, part, post
from shopbell.client.shape import named


@dataclass(frozen=True, slots=True)
class CustomerFact:
    """Something that a program noted about a customer."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyAnswer:
    """What a customer last said to a survey, and when, in Unix milliseconds."""

    created_at_ms: int = named("createdAt")
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastSurveys:
    """The last answer to each survey; None for one never taken."""

    nps: SurveyAnswer | None
    preferred_channel: SurveyAnswer | None


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """A customer. What could name a person is not in its ``repr``, and so in nobody's log."""

    id: str
    type: str
    editable: bool
    channel: str | None
    last_surveys: LastSurveys
    customer_data: tuple[CustomerFact, ...]
    picture_href: str | None = field(repr=False)
    display_name: str | None = field(repr=False)
    email_address: str | None = field(repr=False)
    phone_number: str | None = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    company: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer in a list. What could name a person is not in its ``repr``. Times are Unix milliseconds."""

    id: str
    display_name: str = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    company: str | None = field(repr=False)
    email_addresses: tuple[str, ...] = field(repr=False)
    phone_numbers: tuple[str, ...] = field(repr=False)
    locale: str | None
    created_at_ms: int = named("createdAt")
    blocked_at_ms: int | None = named("blockedAt")


def customers(
    *,
    email: str | None = None,
    phone_number: str | None = None,
    name: str | None = None,
    page_size: int | None = None,
) -> Pages[Customer]:
    """Customers, the newest first: all, or those that fit everything that is given.

    Args:
        email: who has this e-mail address.
        phone_number: who has this number, with its country code.
        name: whose name or company has this text in it.
        page_size: how many to ask for at once, 1 to 200; the server's choice unless given.

    Raises:
        ValidationFailed: 400.
        ShopbellError: any other reason, at any step.
    """
    return pages(
        "/api/customers", "customers", Customer, email=email, phoneNumber=phone_number, name=name, limit=page_size
    )


def customer_profile(customer_id: Id) -> Call[CustomerProfile]:
    """Who a customer is.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get(f"/api/customers/{part(customer_id)}/profile", CustomerProfile)


def update_customer_profile(
    customer_id: Id, *, first_name: str | None = None, last_name: str | None = None, company: str | None = None
) -> Call[Done]:
    """Change what is known of a customer; what is None stays, an empty text takes a field away.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    path = f"/api/customers/{part(customer_id)}/profile/update"
    return post(path, Done, firstName=first_name, lastName=last_name, company=company)


def block_customer(customer_id: Id) -> Call[Done]:
    """Hear a customer no more; he is not told.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/customers/{part(customer_id)}/block", Done)


def unblock_customer(customer_id: Id) -> Call[Done]:
    """Hear a customer again, from his next message on.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/customers/{part(customer_id)}/unblock", Done)


def erase_customer(customer_id: Id) -> Call[Done]:
    """Take away for good all that is personal of a customer; without an answer, ask again.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/customers/{part(customer_id)}/erase", Done)


def export_customer(customer_id: Id) -> Call[dict[str, Any]]:
    """Everything that is kept of a customer, as one JSON document.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return Call(method="GET", path=f"/api/customers/{part(customer_id)}/export", parse=Answer.json)
