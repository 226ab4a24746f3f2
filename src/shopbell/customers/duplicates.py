"""Possible duplicates: pairs of customers for an employee to check. The hot path finds most of them."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, tuple_

from shopbell.customers import canonical, customers
from shopbell.db.schema.core import customers as customers_table
from shopbell.db.schema.core import possible_duplicates
from shopbell.errors import NotFound
from shopbell.events.record import upsert

Place = tuple[int, int]
"""The place of a pair in the list: the two ids with which it was found."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two customers that may be the same person. Times are Unix ms."""

    place: Place
    customer_id: int
    other_customer_id: int
    found_at_ms: int


def find_page(tx: Connection, organization_id: int, *, before: Place | None = None, limit: int) -> list[Pair]:
    """The pairs of an organization, those of the newest customers first, with canonical ids.

    Args:
        before: the place before the page; None for the first page.
        limit: how many at most.
    """
    first, second, d = customers_table.alias(), customers_table.alias(), possible_duplicates.c
    first_id = func.coalesce(first.c.merged_into_id, first.c.id)
    second_id = func.coalesce(second.c.merged_into_id, second.c.id)
    query = (
        select(d.customer_id, d.other_customer_id, first_id, second_id, d.found_at_ms)
        .select_from(possible_duplicates)
        .join(first, (first.c.organization_id == d.organization_id) & (first.c.id == d.customer_id))
        .join(second, (second.c.organization_id == d.organization_id) & (second.c.id == d.other_customer_id))
        .where(
            d.organization_id == organization_id,
            first_id != second_id,
            first.c.erased_at_ms.is_(None),
            second.c.erased_at_ms.is_(None),
        )
        .order_by(d.customer_id.desc(), d.other_customer_id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(d.customer_id, d.other_customer_id) < before)
    rows = tx.execute(query)
    return [Pair((a, b), min(one, two), max(one, two), at_ms) for a, b, one, two, at_ms in rows]


def note(tx: Connection, organization_id: int, one_id: int, other_id: int, *, now_ms: int) -> None:
    """Store a pair; one that is stored already stays as it is."""
    first, second = sorted((one_id, other_id))
    row = {"organization_id": organization_id, "customer_id": first, "other_customer_id": second}
    tx.execute(upsert(tx, possible_duplicates).values(**row, found_at_ms=now_ms).on_conflict_do_nothing())


def dismiss(tx: Connection, organization_id: int, customer_id: int, other_customer_id: int) -> None:
    """Remove a pair from the list, until it is found again.

    Raises:
        NotFound: 404; there is no such customer.
    """
    named = (("customerId", customer_id), ("otherCustomerId", other_customer_id))
    for field, id_ in named:
        if not customers.rows(tx, organization_id, [id_]):
            raise NotFound(field)
    one, other = (
        canonical.with_merged(tx, organization_id, customers.find(tx, organization_id, id_).id) for _, id_ in named
    )
    d = possible_duplicates.c
    for first, second in ((one, other), (other, one)):
        tx.execute(
            delete(possible_duplicates).where(
                d.organization_id == organization_id, d.customer_id.in_(first), d.other_customer_id.in_(second)
            )
        )
