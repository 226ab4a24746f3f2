"""Customers: who they are."""

from dataclasses import dataclass, field

from shopbell.client.call import Call, Done, Id, get, part, post


@dataclass(frozen=True, slots=True)
class CustomerFact:
    """Something that a program noted about a customer."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SurveyAnswer:
    """What a customer last said to a survey, and when (Unix time in milliseconds)."""

    created_at: int
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
    """Change what is known of a customer; what is None stays as it is.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    path = f"/api/customers/{part(customer_id)}/profile/update"
    return post(path, Done, firstName=first_name, lastName=last_name, company=company)
