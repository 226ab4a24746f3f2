"""The customer of a conversation, with further data that employees need."""

from pydantic import Field
from sqlalchemy import Connection

from shopbell.customers import customers
from shopbell.http.api.customers import CustomerProfile, look_up_profile


class InboxCustomer(CustomerProfile):
    """The profile of a customer, and further data. Times are Unix milliseconds."""

    unverified_email_address: str | None = Field(
        description="An address that a visitor entered and did not confirm: it may belong to someone else.",
        examples=[None],
    )
    unverified_phone_number: str | None = Field(description="A number of this kind.", examples=[None])
    created_at: int = Field(examples=[1700000000000])
    blocked_at: int | None = Field(description="When the customer was blocked; `null` if not blocked.", examples=[None])


def look_up_customer(tx: Connection, organization_id: int, customer_id: int) -> InboxCustomer:
    """Read a customer.

    Raises:
        NotFound: 404.
    """
    profile = look_up_profile(tx, organization_id, customer_id)
    customer = customers.find(tx, organization_id, customer_id)
    return InboxCustomer(
        **profile.model_dump(by_alias=False),
        unverified_email_address=customer.unverified_email,
        unverified_phone_number=customer.unverified_phone,
        created_at=customer.created_at_ms,
        blocked_at=customer.blocked_at_ms,
    )
