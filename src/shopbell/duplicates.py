"""Possible duplicates: pairs of customers for an employee to look at. The hot path finds them (``messages.py``)."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, tuple_

from shopbell import customers
from shopbell.errors import NotFound
from shopbell.storage.schema import customers as customers_table
from shopbell.storage.schema import possible_duplicates

Place = tuple[int, int]
"""Where a pair stands in the list: as it was found, whoever has been merged since."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two customers that may be one person. Times are Unix ms."""

    place: Place
    customer_id: int
    other_customer_id: int
    found_at_ms: int


def find_page(tx: Connection, organization_id: int, *, before: Place | None = None, limit: int) -> list[Pair]:
    """The pairs of an organization, those of the newest customers first; who was merged stands for who he became.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        before: only what stands after this place of the list.
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


def dismiss(tx: Connection, organization_id: int, customer_id: int, other_customer_id: int) -> None:
    """Take note that two customers are not one person, or leave it for later; found again, they are listed again.

    Raises:
        NotFound: 404; there is no such customer.
    """
    named = (("customerId", customer_id), ("otherCustomerId", other_customer_id))
    for field, id_ in named:
        if not customers.rows(tx, organization_id, [id_]):
            raise NotFound(field)
    one, other = (
        customers.with_merged(tx, organization_id, customers.find(tx, organization_id, id_).id) for _, id_ in named
    )
    d = possible_duplicates.c
    for first, second in ((one, other), (other, one)):
        tx.execute(
            delete(possible_duplicates).where(
                d.organization_id == organization_id, d.customer_id.in_(first), d.other_customer_id.in_(second)
            )
        )
