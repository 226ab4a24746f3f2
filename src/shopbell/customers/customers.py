"""Customers: find, list and change them. Owns their table.

The hot path creates them and finds them by their identities (``conversations/messages.py``). A customer who was merged
into another one has no identities left, and their id stands for the other one: ``merged_into_id`` always names a
customer who was not merged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    bindparam,
    select,
    update,
)

from shopbell.customers import canonical
from shopbell.db.schema.core import customer_identities, customers, possible_duplicates, threads
from shopbell.errors import CommandError, Conflict, NotFound
from shopbell.events import record
from shopbell.events.actors import Actor
from shopbell.formats import names
from shopbell.formats.identities import phone_as_shown
from shopbell.i18n.translations import Texts
from shopbell.runtime import clock

PROFILE_FIELDS: Final = {"first_name": "firstName", "last_name": "lastName", "company": "company"}
"""The fields of a profile that can be changed, with their names in the API."""

DEFAULT_CHANNEL = "WEB"


@dataclass(frozen=True, slots=True, repr=False)
class Customer:
    """A person who writes to the businesses of an organization. Times are Unix ms."""

    organization_id: int
    id: int
    locale: str | None
    first_name: str | None
    last_name: str | None
    company: str | None
    unverified_email: str | None
    unverified_phone: str | None
    created_at_ms: int
    blocked_at_ms: int | None
    erased_at_ms: int | None
    merged_into_id: int | None

    @property
    def unverified(self) -> Mapping[str, str]:
        """The addresses that they only claimed, by kind of identity."""
        claimed = {"email": self.unverified_email, "phone": self.unverified_phone}
        return {kind: address for kind, address in claimed.items() if address}


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """An email address or phone number: ``value`` in normal form (a number's key), ``shown`` as first sent."""

    kind: str
    value: str
    shown: str

    @property
    def number(self) -> str:
        """The phone number in E.164, in the spelling that the customer first used."""
        return phone_as_shown(self.value, self.shown)


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """A customer as employees see them; ``channel`` is that of the most recently changed thread."""

    customer: Customer
    identities: Sequence[Identity]
    channel: str

    @property
    def display_name(self) -> str:
        """The first of these that is known: name, company, email address, phone number, id."""
        if self.customer.erased_at_ms is not None:
            return "Erased customer"
        return self._name or f"Customer {self.customer.id}"

    def called(self, texts: Texts) -> str:
        """The name in texts for the business: ``display_name``, or an unconfirmed contact instead of an id.

        Args:
            texts: in the language of the business.
        """
        claimed = self.customer.unverified_email or self.customer.unverified_phone
        if self._name:
            return self._name
        if claimed:
            return texts.gettext("{contact} (not confirmed)", contact=claimed)
        return texts.gettext("Customer {number}", number=self.customer.id)

    @property
    def _name(self) -> str | None:
        customer = self.customer
        name = " ".join(part for part in (customer.first_name, customer.last_name) if part)
        return name or customer.company or self.email or self.phone

    @property
    def email(self) -> str | None:
        """Their first email address, as sent."""
        return self._first("email")

    @property
    def phone(self) -> str | None:
        """Their first phone number, in E.164."""
        return self._first("phone")

    def _first(self, kind: str) -> str | None:
        found = (identity for identity in self.identities if identity.kind == kind)
        identity = next(found, None)
        if identity is None:
            return None
        return identity.shown if kind == "email" else identity.number


def get(tx: Connection, customer_id: int) -> Customer:
    """The customer with an id, of any organization: for operators.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(customers).where(customers.c.id == customer_id)).mappings().first()
    if row is None:
        raise CommandError(
            f"there is no customer {customer_id}; `shopbell threads list` shows customers with conversations"
        )
    return Customer(**row)


def identities_of(tx: Connection, customer: Customer) -> list[Identity]:
    """The identities of a customer, email addresses before phone numbers."""
    c = customer_identities.c
    of_customer = of_customers(customer_identities, customer.organization_id, [customer.id])
    query = select(c.kind, c.value, c.shown).where(of_customer).order_by(c.kind, c.value)
    return [Identity(**row) for row in tx.execute(query).mappings()]


def of_customers(table: Table, organization_id: int, customer_ids: Sequence[int]) -> ColumnElement[bool]:
    """The condition for the rows of these customers in a table with an index that begins with the customer."""
    # The ``+ 0`` keeps SQLite off the primary key, where it would read all rows of the organization.
    return and_(table.c.organization_id + 0 == organization_id, table.c.customer_id.in_(customer_ids))


# Streams run this often. Building it once halves its cost.
_t = threads.c
_ORGANIZATION = bindparam("organization_id", type_=BigInteger)
_CUSTOMERS = bindparam("customer_ids", type_=BigInteger, expanding=True)
_THREADS = (
    select(threads)
    .where(_t.organization_id == _ORGANIZATION, _t.customer_id.in_(_CUSTOMERS))
    # In the order of the key, otherwise SQLite does not use it.
    .order_by(_t.customer_id, _t.business_id)
)


def threads_of(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> list[Row[Any]]:
    """The threads of these customers by ascending id, including those without messages."""
    where = {"organization_id": organization_id, "customer_ids": list(customer_ids)}
    return sorted(tx.execute(_THREADS, where), key=lambda row: row.id)


def lock_threads(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> list[int]:
    """Lock the threads of these customers in ascending order, as everywhere.

    Returns:
        Their ids, ascending.
    """
    c = threads.c
    ids = [row.id for row in threads_of(tx, organization_id, customer_ids)]
    query = select(c.id).where(c.organization_id == organization_id, c.id.in_(ids)).order_by(c.id)
    return list(tx.scalars(query.with_for_update()))


def possible_duplicates_of(tx: Connection, customer: Customer) -> list[int]:
    """The ids of customers that may be the same person, ascending."""
    c = possible_duplicates.c
    sides = ((c.customer_id, c.other_customer_id), (c.other_customer_id, c.customer_id))
    queries = (
        select(other).where(c.organization_id == customer.organization_id, one == customer.id) for one, other in sides
    )
    return sorted(id_ for query in queries for id_ in tx.scalars(query))


def find(tx: Connection, organization_id: int, customer_id: int) -> Customer:
    """The organization's customer with an id; for a merged one, the customer that they became.

    Raises:
        NotFound: 404.
    """
    customer = _row(tx, organization_id, customer_id)
    return customer if customer.merged_into_id is None else _row(tx, organization_id, customer.merged_into_id)


def lock(tx: Connection, organization_id: int, customer_id: int) -> Customer:
    """As ``find``, and lock the customer until the transaction ends.

    Raises:
        NotFound: 404.
    """
    while True:
        found = find(tx, organization_id, customer_id)
        (customer,) = lock_rows(tx, organization_id, [found.id])
        if customer.merged_into_id is None:
            return customer


def lock_rows(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> list[Customer]:
    """Lock the rows of customers, merged or not, in ascending order, as everywhere.

    Returns:
        Those that exist, by ascending id.
    """
    return rows(tx, organization_id, customer_ids, locked=True)


def rows(tx: Connection, organization_id: int, customer_ids: Sequence[int], *, locked: bool = False) -> list[Customer]:
    """The rows of customers, merged or not, that exist, by ascending id."""
    c = customers.c
    query = select(customers).where(c.organization_id == organization_id, c.id.in_(customer_ids)).order_by(c.id)
    if locked:
        # Keys never change. The weaker lock allows the foreign key checks of messages, which hold the feed's lock: with
        # the stronger lock, the two would wait for each other.
        query = query.with_for_update(key_share=True)
    return [Customer(**row) for row in tx.execute(query).mappings()]


def _row(tx: Connection, organization_id: int, customer_id: int) -> Customer:
    found = rows(tx, organization_id, [customer_id])
    if not found:
        raise NotFound("customerId")
    return found[0]


def profile(tx: Connection, organization_id: int, customer_id: int) -> Profile:
    """A customer with identities and channel.

    Raises:
        NotFound: 404.
    """
    customer = find(tx, organization_id, customer_id)
    all_threads = threads_of(tx, organization_id, canonical.with_merged(tx, organization_id, customer.id))
    seen = [(row.updated_at_ms, row.id, row.channel) for row in all_threads if row.last_sequence > 0]
    identities = all_identities(tx, organization_id, [customer.id]).get(customer.id, [])
    return Profile(customer, identities, max(seen)[2] if seen else DEFAULT_CHANNEL)


def update_profile(
    tx: Connection, organization_id: int, customer_id: int, changes: Mapping[str, str], *, actor: Actor
) -> None:
    """Set the given fields of a customer's profile.

    Args:
        changes: values of ``PROFILE_FIELDS``; an empty text removes the field.
        actor: who sets them.

    Raises:
        NotFound: 404.
        Conflict: 409; the customer was erased.
    """
    customer = lock(tx, organization_id, customer_id)
    refuse_erased(customer)
    given = {name: names.stored(value) or None for name, value in changes.items()}
    changed = {name: value for name, value in given.items() if getattr(customer, name) != value}
    if not changed:
        return
    now_ms = clock.now_ms()
    set_columns(tx, customer, **changed)
    details = {"fields": sorted(PROFILE_FIELDS[name] for name in changed)}
    record.record(
        tx, organization_id, "customer-updated", actor=actor, now_ms=now_ms, customer_id=customer.id, details=details
    )


def set_columns(tx: Connection, customer: Customer, **columns: object) -> None:
    """Set columns of a customer whose row is locked."""
    c = customers.c
    mine = and_(c.organization_id == customer.organization_id, c.id == customer.id)
    tx.execute(update(customers).where(mine).values(**columns))


def refuse_erased(customer: Customer) -> None:
    """Refuse to change an erased customer.

    Raises:
        Conflict: 409.
    """
    if customer.erased_at_ms is not None:
        raise Conflict("This customer was erased and cannot be changed.", "The customer was erased")


def all_identities(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> dict[int, list[Identity]]:
    """The identities of customers, for each in the order in which they got them."""
    c = customer_identities.c
    query = (
        select(c.customer_id, c.kind, c.value, c.shown)
        .where(of_customers(customer_identities, organization_id, customer_ids))
        .order_by(c.customer_id, c.merge_id.is_not(None), c.created_at_ms, c.kind, c.value)
    )
    found: dict[int, list[Identity]] = {}
    for customer_id, kind, value, shown in tx.execute(query):
        found.setdefault(customer_id, []).append(Identity(kind, value, shown))
    return found
