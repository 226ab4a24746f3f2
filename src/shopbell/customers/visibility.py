"""The customers that an employee of single businesses sees.

These are customers with a conversation in one of the businesses, under their id or one that was merged into it.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from shopbell.customers import canonical, customers
from shopbell.db.businesses import Businesses
from shopbell.errors import NotFound


def check_within(tx: Connection, organization_id: int, customer_id: int, businesses: Businesses) -> None:
    """Check that a customer has a conversation with one of these businesses.

    Raises:
        NotFound: 404; they have none, or there is no such customer.
    """
    if not within(tx, organization_id, [customer_id], businesses):
        raise NotFound("customerId")


def within(tx: Connection, organization_id: int, customer_ids: Collection[int], businesses: Businesses) -> set[int]:
    """Return the customers, merged or not, with a conversation in these businesses."""
    became = canonical.canonical_ids(tx, organization_id, customer_ids)
    families = canonical.all_with_merged(tx, organization_id, set(became.values()))
    owners = {id_ for family in families.values() for id_ in family}
    seen = {
        row.customer_id
        for row in customers.threads_of(tx, organization_id, sorted(owners))
        if row.last_sequence > 0 and (businesses is None or row.business_id in businesses)
    }
    return {id_ for id_ in customer_ids if not seen.isdisjoint(families[became[id_]])}
