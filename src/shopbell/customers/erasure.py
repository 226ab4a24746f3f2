"""Erasure of a customer: their identities, profile, sessions and links.

``operations/erasure.py`` erases the rest: what they wrote, what was written to them and what webhooks received of it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, update

from shopbell.customers import canonical, customers, sessions
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.schema.core import customer_identities, possible_duplicates, threads
from shopbell.db.schema.core import customers as customers_table
from shopbell.db.schema.customers import customer_links, external_identities
from shopbell.events import audit, record
from shopbell.events.actors import Actor
from shopbell.runtime import clock


@dataclass(frozen=True, slots=True)
class Person:
    """An erased customer together with all who were merged into them, and their conversations."""

    customer_ids: tuple[int, ...]
    thread_ids: tuple[int, ...]


def forget(tx: Connection, organization_id: int, customer_id: int, *, actor: Actor) -> Person:
    """Erase the identities, the profile, the sessions and the links of a customer.

    From then on a message from one of their addresses or numbers opens a new customer. A customer who was erased before
    is left as they are.

    Args:
        organization_id: the caller's organization.
        customer_id: the customer; for one who was merged, the customer that they became. All who were merged into that
            customer are erased with them.
        actor: who erases them.

    Raises:
        NotFound: 404.
    """
    lock_customers_shared(tx)
    customer = customers.lock(tx, organization_id, customer_id)
    ids = canonical.with_merged(tx, organization_id, customer.id)
    person = Person(tuple(ids), tuple(customers.lock_threads(tx, organization_id, ids)))
    if customer.erased_at_ms is not None:
        return person
    now_ms = clock.now_ms()
    c, d = customers_table.c, possible_duplicates.c
    tx.execute(delete(customer_identities).where(customers.of_customers(customer_identities, organization_id, ids)))
    tx.execute(delete(possible_duplicates).where(d.organization_id == organization_id, d.customer_id.in_(ids)))
    t, nowhere = threads.c, {"last_email": None, "last_phone": None}
    of_threads = and_(t.organization_id == organization_id, t.id.in_(person.thread_ids))
    tx.execute(update(threads).where(of_threads).values(nowhere))
    for id_ in ids:
        beside = tx.scalars(
            select(d.customer_id).where(d.organization_id == organization_id, d.other_customer_id == id_)
        ).all()
        pairs = and_(d.organization_id == organization_id, d.customer_id.in_(beside), d.other_customer_id == id_)
        tx.execute(delete(possible_duplicates).where(pairs))
    sessions.revoke_all(tx, organization_id, ids, now_ms=now_ms)
    x, k = external_identities, customer_links.c
    tx.execute(delete(x).where(customers.of_customers(x, organization_id, ids)))
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    tx.execute(
        delete(customer_links).where(k.organization_id + 0 == organization_id, k.thread_id.in_(person.thread_ids))
    )
    nothing = dict.fromkeys((*customers.PROFILE_FIELDS, "locale", "unverified_email", "unverified_phone"))
    tx.execute(
        update(customers_table)
        .where(c.organization_id == organization_id, c.id.in_(ids))
        .values(**nothing, erased_at_ms=now_ms)
    )
    audit.record(tx, organization_id, actor.name, "customer.erase", f"customer {customer.id}", now_ms=now_ms)
    record.record(tx, organization_id, "customer-erased", actor=actor, now_ms=now_ms, customer_id=customer.id)
    return person
