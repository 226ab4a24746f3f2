"""Customers as people read and change them: who they are, and by what they are known.

The hot path makes them (``messages.py``) and finds them by their identities alone. A customer who was merged into
another one has none left, and his id stands for the other one from then on: ``merged_into_id`` always names the last
one, never one that was merged in its turn.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, Table, and_, or_, select, update

from shopbell import events, names
from shopbell.errors import CommandError, Conflict, NotFound
from shopbell.identity import phone_as_shown, phone_key
from shopbell.storage.schema import customer_identities, customers, possible_duplicates, threads
from shopbell.texts import Texts

PROFILE_FIELDS: Final = {"first_name": "firstName", "last_name": "lastName", "company": "company"}
"""What can be changed of a profile, with its name outside."""
NAMES_AT_ONCE = 10_000
"""Among so many customers a name is looked for at once: some 50 ms where all have names with accents."""

_DEFAULT_CHANNEL = "WEB"


@dataclass(frozen=True, slots=True, repr=False)
class Customer:
    """Somebody who writes to the businesses of an organization. Times are Unix ms."""

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


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """What a customer is known by: ``value`` in normal form (of a number its key), ``shown`` as it was first sent."""

    kind: str
    value: str
    shown: str

    @property
    def number(self) -> str:
        """A phone number in E.164, in the spelling that the customer first used."""
        return phone_as_shown(self.value, self.shown)


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """A customer as employees see him; ``channel`` is that of the thread that changed last."""

    customer: Customer
    identities: Sequence[Identity]
    channel: str

    @property
    def display_name(self) -> str:
        """What to call him: by name, company, address, number; at the last by his id."""
        if self.customer.erased_at_ms is not None:
            return "Erased customer"
        return self._name or f"Customer {self.customer.id}"

    def called(self, texts: Texts) -> str:
        """What a store calls them: as ``display_name``, but rather by a contact that they only claimed than by an id.

        Args:
            texts: those of the store's language.
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
        """His first e-mail address, as sent."""
        return self._first("email")

    @property
    def phone(self) -> str | None:
        """His first phone number, in E.164."""
        return self._first("phone")

    def _first(self, kind: str) -> str | None:
        found = (identity for identity in self.identities if identity.kind == kind)
        identity = next(found, None)
        if identity is None:
            return None
        return identity.shown if kind == "email" else identity.number


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
    his = of_customers(customer_identities, customer.organization_id, [customer.id])
    query = select(c.kind, c.value, c.shown).where(his).order_by(c.kind, c.value)
    return [Identity(**row) for row in tx.execute(query).mappings()]


def of_customers(table: Table, organization_id: int, customer_ids: Sequence[int]) -> ColumnElement[bool]:
    """Which rows are these customers', in a table with an index that customers lead: their identities, what they sent
    while they were blocked."""
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    return and_(table.c.organization_id + 0 == organization_id, table.c.customer_id.in_(customer_ids))


def threads_of(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> list[Row[Any]]:
    """The threads of these customers, by ascending id; those that nobody has seen, too."""
    c = threads.c
    query = (
        select(threads)
        .where(c.organization_id == organization_id, c.customer_id.in_(customer_ids))
        # In the order of the key, or SQLite thinks no more of this key than of the organization alone.
        .order_by(c.customer_id, c.business_id)
    )
    return sorted(tx.execute(query), key=lambda row: row.id)


def lock_threads(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> list[int]:
    """Lock the threads of these customers, in the order in which everybody locks them.

    Returns:
        Their ids, ascending.
    """
    c = threads.c
    ids = [row.id for row in threads_of(tx, organization_id, customer_ids)]
    query = select(c.id).where(c.organization_id == organization_id, c.id.in_(ids)).order_by(c.id)
    return list(tx.scalars(query.with_for_update()))


def possible_duplicates_of(tx: Connection, customer: Customer) -> list[int]:
    """The ids of other customers that may be the same person, in ascending order."""
    c = possible_duplicates.c
    sides = ((c.customer_id, c.other_customer_id), (c.other_customer_id, c.customer_id))
    queries = (
        select(other).where(c.organization_id == customer.organization_id, one == customer.id) for one, other in sides
    )
    return sorted(id_ for query in queries for id_ in tx.scalars(query))


def find(tx: Connection, organization_id: int, customer_id: int) -> Customer:
    """The customer of an organization with an id; for one who was merged, the customer he became.

    Raises:
        NotFound: 404.
    """
    customer = _row(tx, organization_id, customer_id)
    return customer if customer.merged_into_id is None else _row(tx, organization_id, customer.merged_into_id)


def lock(tx: Connection, organization_id: int, customer_id: int) -> Customer:
    """As ``find``, and nobody else changes who this customer is until the transaction ends.

    Raises:
        NotFound: 404.
    """
    while True:
        found = find(tx, organization_id, customer_id)
        (customer,) = lock_rows(tx, organization_id, [found.id])
        if customer.merged_into_id is None:
            return customer


def lock_rows(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> list[Customer]:
    """Lock the rows of customers, merged or not, in the order in which everybody locks them.

    Returns:
        Those that there are, by ascending id.
    """
    return rows(tx, organization_id, customer_ids, locked=True)


def rows(tx: Connection, organization_id: int, customer_ids: Sequence[int], *, locked: bool = False) -> list[Customer]:
    """The rows of customers, merged or not: those that there are, by ascending id."""
    c = customers.c
    query = select(customers).where(c.organization_id == organization_id, c.id.in_(customer_ids)).order_by(c.id)
    if locked:
        # Nobody changes a customer's key. The weaker lock lets messages pass, whose foreign keys look at the row when
        # they hold the feed, for which the holder of this lock waits in its turn.
        query = query.with_for_update(key_share=True)
    return [Customer(**row) for row in tx.execute(query).mappings()]


def with_merged(tx: Connection, organization_id: int, customer_id: int) -> list[int]:
    """The id of a customer and those of all customers who were merged into him: whose threads are his."""
    c = customers.c
    query = select(c.id).where(c.organization_id == organization_id, c.merged_into_id == customer_id).order_by(c.id)
    return [customer_id, *tx.scalars(query)]


def family(tx: Connection, organization_id: int, customer_id: int) -> list[int]:
    """As ``with_merged`` of the customer that this one has become, or is."""
    return with_merged(tx, organization_id, owners(tx, organization_id, [customer_id])[customer_id])


def owners(tx: Connection, organization_id: int, customer_ids: Collection[int]) -> dict[int, int]:
    """For each of these customers the one that it has become, or itself."""
    c = customers.c
    query = select(c.id, c.merged_into_id).where(
        c.organization_id == organization_id, c.id.in_(customer_ids), c.merged_into_id.is_not(None)
    )
    became = {row.id: row.merged_into_id for row in tx.execute(query)}
    return {id_: became.get(id_, id_) for id_ in customer_ids}


def _row(tx: Connection, organization_id: int, customer_id: int) -> Customer:
    found = rows(tx, organization_id, [customer_id])
    if not found:
        raise NotFound("customerId")
    return found[0]


def profile(tx: Connection, organization_id: int, customer_id: int) -> Profile:
    """What is known of a customer.

    Raises:
        NotFound: 404.
    """
    customer = find(tx, organization_id, customer_id)
    all_threads = threads_of(tx, organization_id, with_merged(tx, organization_id, customer.id))
    seen = [(row.updated_at_ms, row.id, row.channel) for row in all_threads if row.last_sequence > 0]
    identities = _identities(tx, organization_id, [customer.id]).get(customer.id, [])
    return Profile(customer, identities, max(seen)[2] if seen else _DEFAULT_CHANNEL)


def update_profile(tx: Connection, organization_id: int, customer_id: int, changes: Mapping[str, str]) -> None:
    """Change what is given of a customer's profile.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        customer_id: the customer.
        changes: values of ``PROFILE_FIELDS``; an empty one takes the field away.

    Raises:
        NotFound: 404.
        Conflict: 409; he was erased.
    """
    customer = lock(tx, organization_id, customer_id)
    refuse_erased(customer)
    given = {name: names.stored(value) or None for name, value in changes.items()}
    changed = {name: value for name, value in given.items() if getattr(customer, name) != value}
    if not changed:
        return
    now_ms = time.time_ns() // 1_000_000
    set_columns(tx, customer, **changed)
    details = {"fields": sorted(PROFILE_FIELDS[name] for name in changed)}
    events.record(tx, organization_id, "customer-updated", now_ms=now_ms, customer_id=customer.id, details=details)


def set_columns(tx: Connection, customer: Customer, **columns: object) -> None:
    """Change columns of a customer whose row is locked."""
    c = customers.c
    mine = and_(c.organization_id == customer.organization_id, c.id == customer.id)
    tx.execute(update(customers).where(mine).values(**columns))


def refuse_erased(customer: Customer) -> None:
    """Let nobody change what is no more.

    Raises:
        Conflict: 409.
    """
    if customer.erased_at_ms is not None:
        raise Conflict("This customer was erased; nothing of them can be changed.", "The customer was erased")


def search(
    tx: Connection,
    organization_id: int,
    *,
    email: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    before_id: int | None = None,
    limit: int,
) -> tuple[list[Profile], int | None]:
    """Customers of an organization, the newest first; those who were merged into others or erased are left out.

    No index finds a text within names, so a name is looked for among ``NAMES_AT_ONCE`` customers at once: a
    search takes as long in an organization of ten thousand customers as in one of a million. Names are compared here,
    because the engines know neither accents nor the capitals of all alphabets alike.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        email: only who has this address, in normal form.
        phone: only who has this number, in E.164.
        name: only whose name or company has this text in it, whatever the case, accents and spaces.
        before_id: only whose id is less.
        limit: how many at most.

    Returns:
        Those found, which may be fewer than there are; and the ``before_id`` with which to go on, None at the end.
    """
    c = customers.c
    query = (
        select(customers)
        .where(c.organization_id == organization_id, c.merged_into_id.is_(None), c.erased_at_ms.is_(None))
        .order_by(c.id.desc())
        .limit(limit + 1)
    )
    for kind, value in (("email", email), ("phone", phone and phone_key(phone))):
        if value is not None:
            query = query.where(c.id == _known_by(organization_id, kind, value))
    if before_id is not None:
        query = query.where(c.id < before_id)
    go_on = None
    if name is not None:
        go_on = _names_up_to(tx, organization_id, before_id)
        called = _called(tx, query.where(c.id >= (go_on or 0)), name, limit + 1)
        query = query.where(c.id.in_(called))
    found = [Customer(**row) for row in tx.execute(query).mappings()]
    if len(found) > limit:
        del found[limit:]
        go_on = found[-1].id
    identities = _identities(tx, organization_id, [customer.id for customer in found])
    return [Profile(customer, identities.get(customer.id, []), _DEFAULT_CHANNEL) for customer in found], go_on


def _names_up_to(tx: Connection, organization_id: int, before_id: int | None) -> int | None:
    """The last customer whose name a search reads; None when it reads them all."""
    c = customers.c
    query = select(c.id).where(c.organization_id == organization_id)
    if before_id is not None:
        query = query.where(c.id < before_id)
    return tx.execute(query.order_by(c.id.desc()).offset(NAMES_AT_ONCE - 1).limit(1)).scalar()


def _known_by(organization_id: int, kind: str, value: str) -> ScalarSelect[int]:
    i = customer_identities.c
    query = select(i.customer_id).where(i.organization_id == organization_id, i.kind == kind, i.value == value)
    return query.scalar_subquery()


def _called(tx: Connection, query: Select[Any], name: str, at_most: int) -> list[int]:
    """The ids of the first customers of a query whose name or company has a text in it."""
    c = customers.c
    wanted = names.folded(name)
    named = or_(*(column.is_not(None) for column in (c.first_name, c.last_name, c.company)))
    rows = tx.execute(query.with_only_columns(c.id, c.first_name, c.last_name, c.company).where(named).limit(None))
    # No name has the character between the two: nothing is found across it.
    found = (
        id_
        for id_, first, last, company in rows
        if wanted in names.folded(f"{first or ''} {last or ''} \0 {company or ''}")
    )
    return list(islice(found, at_most)) if wanted else []


def _identities(tx: Connection, organization_id: int, customer_ids: Sequence[int]) -> dict[int, list[Identity]]:
    """What customers are known by, each with what is their own longest first."""
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
