"""Which customers were merged into which.

The canonical customer and those merged into them count as one.
"""

from collections.abc import Collection

from sqlalchemy import BigInteger, Connection, bindparam, select

from shopbell.db.schema.core import customers

# Streams run these often. Building them once halves their cost.
_c = customers.c
_ORGANIZATION = bindparam("organization_id", type_=BigInteger)
_CUSTOMERS = bindparam("customer_ids", type_=BigInteger, expanding=True)
_MERGED = (
    select(_c.id, _c.merged_into_id)
    .where(_c.organization_id == _ORGANIZATION, _c.merged_into_id.in_(_CUSTOMERS))
    # In the order of the index. Otherwise SQLite would read all customers of the organization.
    .order_by(_c.merged_into_id, _c.id)
)
_CANONICAL = select(_c.id, _c.merged_into_id).where(
    _c.organization_id == _ORGANIZATION, _c.id.in_(_CUSTOMERS), _c.merged_into_id.is_not(None)
)


def with_merged(tx: Connection, organization_id: int, customer_id: int) -> list[int]:
    """The id of a customer, and the ids of all who were merged into them.

    These customers own the threads.
    """
    return all_with_merged(tx, organization_id, [customer_id])[customer_id]


def all_with_merged(tx: Connection, organization_id: int, customer_ids: Collection[int]) -> dict[int, list[int]]:
    """As ``with_merged``, for each of these customers."""
    where = {"organization_id": organization_id, "customer_ids": list(customer_ids)}
    found = {id_: [id_] for id_ in customer_ids}
    for row in tx.execute(_MERGED, where):
        found[row.merged_into_id].append(row.id)
    return found


def merged_ids(tx: Connection, organization_id: int, customer_id: int) -> list[int]:
    """As ``with_merged``, for a customer who may have been merged.

    The id of the canonical customer is first.
    """
    return with_merged(tx, organization_id, canonical_ids(tx, organization_id, [customer_id])[customer_id])


def canonical_ids(tx: Connection, organization_id: int, customer_ids: Collection[int]) -> dict[int, int]:
    """For each of these customers the id that it was merged into, or its own."""
    where = {"organization_id": organization_id, "customer_ids": list(customer_ids)}
    became = {row.id: row.merged_into_id for row in tx.execute(_CANONICAL, where)}
    return {id_: became.get(id_, id_) for id_ in customer_ids}
