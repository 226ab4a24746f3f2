"""Customers as people read them: who they are and by what they are known. The hot path makes them (``messages.py``)."""

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from shopbell.errors import CommandError
from shopbell.storage.schema import customer_identities, customers, possible_duplicates


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who writes to the businesses of an organization. Times are Unix ms."""

    organization_id: int
    id: int
    locale: str | None
    first_name: str | None
    last_name: str | None
    company: str | None
    created_at_ms: int
    blocked_at_ms: int | None
    erased_at_ms: int | None
    merged_into_id: int | None


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """What a customer is known by: ``value`` in normal form, ``shown`` as it was first sent."""

    kind: str
    value: str
    shown: str


def get(tx: Connection, customer_id: int) -> Customer:
    """The customer with an id, of whichever organization.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(customers).where(customers.c.id == customer_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no customer {customer_id}; `shopbell threads list` shows who wrote")
    return Customer(**row)


def identities_of(tx: Connection, customer: Customer) -> list[Identity]:
    """What a customer is known by, e-mail addresses before phone numbers."""
    c = customer_identities.c
    query = (
        select(c.kind, c.value, c.shown)
        .where(c.organization_id == customer.organization_id, c.customer_id == customer.id)
        .order_by(c.kind, c.value)
    )
    return [Identity(**row) for row in tx.execute(query).mappings()]


def possible_duplicates_of(tx: Connection, customer: Customer) -> list[int]:
    """The ids of other customers that may be the same person, in ascending order."""
    c = possible_duplicates.c
    query = select(c.customer_id, c.other_customer_id).where(
        c.organization_id == customer.organization_id,
        or_(c.customer_id == customer.id, c.other_customer_id == customer.id),
    )
    return sorted(({*pair} - {customer.id}).pop() for pair in tx.execute(query))
