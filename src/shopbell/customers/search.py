"""Search customers."""

from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, exists, or_, select

from shopbell.customers import customers
from shopbell.customers.customers import Customer, Profile
from shopbell.db.businesses import Businesses, is_among
from shopbell.db.schema.core import customer_identities, threads
from shopbell.db.schema.core import customers as customers_table
from shopbell.formats import names
from shopbell.formats.identities import phone_key

SEARCHED_AT_ONCE = 10_000
"""How many customers one search by name or businesses reads: about 50 ms if all names have accents."""


def find_page(
    tx: Connection,
    organization_id: int,
    *,
    email: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    businesses: Businesses = None,
    before_id: int | None = None,
    limit: int,
) -> tuple[list[Profile], int | None]:
    """Search customers, the newest first. Merged and erased customers are left out.

    No index finds a text within names, or customers by their businesses. So such a search reads at most
    ``SEARCHED_AT_ONCE`` customers, and takes as long with a million customers as with ten thousand. Names are compared
    in Python, because the engines treat accents and upper case differently.

    Args:
        email: only the customer with this address, in normal form.
        phone: only the customer with this number, in E.164.
        name: only customers whose name or company contains this text, ignoring case, accents and spaces.
        businesses: only customers who have a conversation with one of these.
        before_id: only customers with a lower id.
        limit: how many at most.

    Returns:
        The customers of this page, perhaps fewer than ``limit``, and the ``before_id`` of the next page or None.
    """
    c = customers_table.c
    query = (
        select(customers_table)
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
    if businesses is not None:
        query = query.where(_writes_to(businesses))
    if name is not None or businesses is not None:
        go_on = _searched_up_to(tx, organization_id, before_id)
        query = query.where(c.id >= (go_on or 0))
    if name is not None:
        called = _called(tx, query, name, limit + 1)
        query = query.where(c.id.in_(called))
    found = [Customer(**row) for row in tx.execute(query).mappings()]
    if len(found) > limit:
        del found[limit:]
        go_on = found[-1].id
    identities = customers.all_identities(tx, organization_id, [customer.id for customer in found])
    return [Profile(customer, identities.get(customer.id, []), customers.DEFAULT_CHANNEL) for customer in found], go_on


def _searched_up_to(tx: Connection, organization_id: int, before_id: int | None) -> int | None:
    """The id at which a search without an index stops; None if it reads all."""
    c = customers_table.c
    query = select(c.id).where(c.organization_id == organization_id)
    if before_id is not None:
        query = query.where(c.id < before_id)
    return tx.execute(query.order_by(c.id.desc()).offset(SEARCHED_AT_ONCE - 1).limit(1)).scalar()


def _writes_to(businesses: Businesses) -> ColumnElement[bool]:
    """The condition that a customer has a conversation with one of these businesses."""
    t = threads.c
    c, merged = customers_table.c, customers_table.alias("merged").c

    def has_thread(customer_id: ColumnElement[int]) -> ColumnElement[bool]:
        of_customer = (t.organization_id == c.organization_id, t.customer_id == customer_id, t.last_sequence > 0)
        return exists(select(t.id).where(*of_customer, is_among(t.business_id, businesses)))

    is_merged = (merged.organization_id == c.organization_id, merged.merged_into_id == c.id)
    return or_(has_thread(c.id), exists(select(merged.id).where(*is_merged, has_thread(merged.id))))


def _known_by(organization_id: int, kind: str, value: str) -> ScalarSelect[int]:
    i = customer_identities.c
    query = select(i.customer_id).where(i.organization_id == organization_id, i.kind == kind, i.value == value)
    return query.scalar_subquery()


def _called(tx: Connection, query: Select[Any], name: str, at_most: int) -> list[int]:
    """The ids of a query's first customers whose name or company contains a text."""
    c = customers_table.c
    wanted = names.folded(name)
    named = or_(*(column.is_not(None) for column in (c.first_name, c.last_name, c.company)))
    rows = tx.execute(query.with_only_columns(c.id, c.first_name, c.last_name, c.company).where(named).limit(None))
    # No name has the separator: no text matches across it.
    found = (
        id_
        for id_, first, last, company in rows
        if wanted in names.folded(f"{first or ''} {last or ''} \0 {company or ''}")
    )
    return list(islice(found, at_most)) if wanted else []
