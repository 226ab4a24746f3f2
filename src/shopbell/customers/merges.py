"""Merges two customers who are the same person, and undoes merges. Owns the table of merges.

Identities and threads that move keep the id of the merge that first moved them. By it an undo finds what to give back.
Nothing is copied, and the content of threads does not change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, case, delete, func, insert, null, select, update

from shopbell.customers import canonical, customers
from shopbell.customers.customers import Customer, Identity
from shopbell.db.ids import take_id
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.schema.core import customer_identities, customer_merges, possible_duplicates, threads
from shopbell.db.schema.core import customers as customers_table
from shopbell.db.schema.customers import customer_sessions
from shopbell.errors import Conflict, FieldError, Invalid, NotFound
from shopbell.events import audit, record
from shopbell.events.actors import Actor
from shopbell.formats.identities import phone_spellings
from shopbell.runtime import clock

UNDO_MS = 30 * 24 * 60 * 60 * 1000
"""How long after a merge it can be undone."""

_FILLED = ("first_name", "last_name", "company", "locale")


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """What a merge does.

    Args:
        kept: the customer who stays.
        merged: the customer whose id then stands for that one.
        identities: the identities that move to the kept customer.
        moving_thread_ids: conversations that move to the kept customer.
        staying_thread_ids: conversations with businesses with which the kept customer has one already. They stay as
            they are, are listed with that customer's, and get no more messages.
        filled_fields: fields that are empty in the kept profile and filled from the other.
    """

    kept: Customer
    merged: Customer
    identities: Sequence[Identity]
    moving_thread_ids: Sequence[int]
    staying_thread_ids: Sequence[int]
    filled_fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge that was done. Times are Unix ms."""

    organization_id: int
    id: int
    kept_customer_id: int
    merged_customer_id: int
    filled_fields: str
    created_at_ms: int
    undone_at_ms: int | None

    @property
    def undoable_until_ms(self) -> int:
        """Until when it can be undone."""
        return self.created_at_ms + UNDO_MS


def preview(tx: Connection, organization_id: int, customer_id: int, other_customer_id: int) -> Plan:
    """What ``merge`` would do. Changes nothing.

    Raises:
        NotFound: 404.
        Invalid: 400; both are the same customer.
        Conflict: 409; they cannot be merged.
    """
    kept = customers.find(tx, organization_id, customer_id)
    found = customers.rows(tx, organization_id, [other_customer_id])
    if not found:
        raise NotFound("otherCustomerId")
    return _plan(tx, kept, found[0])


def merge(
    tx: Connection, organization_id: int, customer_id: int, other_customer_id: int, *, actor: Actor
) -> tuple[Plan, int]:
    """Merge a customer into another one.

    Args:
        customer_id: the customer who stays; for a merged one, the customer that they became.
        other_customer_id: the customer who is merged into that one.
        actor: who merges them.

    Returns:
        What was done, and the id of the merge.

    Raises:
        NotFound: 404.
        Invalid: 400; both are the same customer.
        Conflict: 409; they cannot be merged.
    """
    lock_customers_shared(tx)
    kept_id = customers.find(tx, organization_id, customer_id).id
    rows = {row.id: row for row in customers.lock_rows(tx, organization_id, [kept_id, other_customer_id])}
    if other_customer_id not in rows:
        raise NotFound("otherCustomerId")
    kept, other = rows[kept_id], rows[other_customer_id]
    if kept.merged_into_id is not None:
        raise Conflict(
            "This customer was merged in the meantime. Read it again.", "The customer was merged in the meantime"
        )
    customers.lock_threads(tx, organization_id, [kept.id, other.id])
    plan = _plan(tx, kept, other)
    now_ms = clock.now_ms()
    merge_id = take_id(tx)
    tx.execute(
        insert(customer_merges).values(
            organization_id=organization_id,
            id=merge_id,
            kept_customer_id=kept.id,
            merged_customer_id=other.id,
            filled_fields=" ".join(plan.filled_fields),
            created_at_ms=now_ms,
        )
    )
    _move(tx, plan, merge_id)
    audit.record(
        tx, organization_id, actor.name, "customer.merge", f"customer {other.id} into customer {kept.id}", now_ms=now_ms
    )
    details = {"mergeId": str(merge_id), "mergedCustomerId": str(other.id)}
    record.record(
        tx, organization_id, "customer-merged", actor=actor, now_ms=now_ms, customer_id=kept.id, details=details
    )
    return plan, merge_id


def _plan(tx: Connection, kept: Customer, other: Customer) -> Plan:
    if kept.id == other.id:
        raise Invalid([FieldError("otherCustomerId", "invalid_value", "must be another customer")])
    if other.merged_into_id is not None:
        raise Conflict(
            "The other customer was merged before. Merge the customer that they became, or undo that merge first.",
            "The other customer was merged before",
        )
    customers.refuse_erased(kept)
    customers.refuse_erased(other)
    if (kept.blocked_at_ms is None) != (other.blocked_at_ms is None):
        raise Conflict(
            "Only one of the two customers is blocked. Block or unblock one of them first.",
            "Only one of the two customers is blocked",
        )
    rows = customers.threads_of(tx, kept.organization_id, [kept.id, other.id])
    taken = {row.business_id for row in rows if row.customer_id == kept.id}
    # Threads without messages move too, but are not shown.
    others = [row for row in rows if row.customer_id == other.id and row.last_sequence > 0]
    return Plan(
        kept=kept,
        merged=other,
        identities=customers.identities_of(tx, other),
        moving_thread_ids=[row.id for row in others if row.business_id not in taken],
        staying_thread_ids=[row.id for row in others if row.business_id in taken],
        filled_fields=[name for name in _FILLED if not getattr(kept, name) and getattr(other, name)],
    )


def _move(tx: Connection, plan: Plan, merge_id: int) -> None:
    kept, other = plan.kept, plan.merged
    i, t, c, d = customer_identities.c, threads.c, customers_table.c, possible_duplicates.c
    organization_id = kept.organization_id
    tx.execute(
        update(customer_identities)
        .where(customers.of_customers(customer_identities, organization_id, [other.id]))
        .values(customer_id=kept.id, merge_id=func.coalesce(i.merge_id, merge_id))
    )
    taken = {row.business_id for row in customers.threads_of(tx, organization_id, [kept.id])}
    others = customers.threads_of(tx, organization_id, [other.id])
    tx.execute(
        update(threads)
        .where(
            t.organization_id == organization_id, t.id.in_([row.id for row in others if row.business_id not in taken])
        )
        .values(customer_id=kept.id, merge_id=func.coalesce(t.merge_id, merge_id))
    )
    tx.execute(
        update(customers_table)
        .where(c.organization_id == organization_id, c.id.in_(canonical.with_merged(tx, organization_id, other.id)))
        .values(merged_into_id=kept.id)
    )
    if plan.filled_fields:
        customers.set_columns(tx, kept, **{name: getattr(other, name) for name in plan.filled_fields})
    pair = sorted((kept.id, other.id))
    tx.execute(
        delete(possible_duplicates).where(
            d.organization_id == organization_id, d.customer_id == pair[0], d.other_customer_id == pair[1]
        )
    )


def undo(tx: Connection, organization_id: int, merge_id: int, *, actor: Actor) -> None:
    """Undo a merge: what moved returns.

    Messages that were sent since stay in their conversations.

    Args:
        actor: who undoes it.

    Raises:
        NotFound: 404.
        Conflict: 409; it was undone before, 30 days have passed, or later changes prevent it.
    """
    query = select(customer_merges).where(
        customer_merges.c.organization_id == organization_id, customer_merges.c.id == merge_id
    )
    lock_customers_shared(tx)
    row = tx.execute(query.with_for_update()).mappings().first()
    if row is None:
        raise NotFound("mergeId")
    done = Merge(**row)
    now_ms = clock.now_ms()
    rows = customers.lock_rows(tx, organization_id, [done.kept_customer_id, done.merged_customer_id])
    by_id = {row.id: row for row in rows}
    kept, merged = by_id[done.kept_customer_id], by_id[done.merged_customer_id]
    _check_undo(done, kept, merged, now_ms)
    customers.lock_threads(tx, organization_id, canonical.with_merged(tx, organization_id, kept.id))
    merge_ids, customer_ids = _under(tx, organization_id, merged.id)
    _give_back(tx, kept, merged, done, merge_ids, customer_ids)
    tx.execute(
        update(customer_merges)
        .where(customer_merges.c.organization_id == organization_id, customer_merges.c.id == merge_id)
        .values(undone_at_ms=now_ms)
    )
    audit.record(tx, organization_id, actor.name, "customer.merge-undo", f"merge {merge_id}", now_ms=now_ms)
    details = {"mergeId": str(merge_id), "mergedCustomerId": str(merged.id)}
    record.record(
        tx, organization_id, "customer-merge-undone", actor=actor, now_ms=now_ms, customer_id=kept.id, details=details
    )


def _check_undo(done: Merge, kept: Customer, merged: Customer, now_ms: int) -> None:
    if done.undone_at_ms is not None:
        raise Conflict("This merge has been undone already.", "The merge has been undone already")
    if now_ms >= done.undoable_until_ms:
        raise Conflict("A merge can be undone only for 30 days.", "The merge is older than 30 days")
    customers.refuse_erased(kept)
    customers.refuse_erased(merged)
    if kept.merged_into_id is not None:
        raise Conflict(
            "The customer was merged again since. Undo the later merge first.", "The customer was merged again since"
        )


def _under(tx: Connection, organization_id: int, customer_id: int) -> tuple[list[int], list[int]]:
    """The earlier merges into a customer, and the customers of them, from before they were merged themselves."""
    m = customer_merges.c
    merge_ids: list[int] = []
    customer_ids: list[int] = []
    kept = [customer_id]
    while kept:
        query = select(m.id, m.merged_customer_id).where(
            m.organization_id == organization_id, m.kept_customer_id.in_(kept), m.undone_at_ms.is_(None)
        )
        found = tx.execute(query).all()
        merge_ids += [row.id for row in found]
        kept = [row.merged_customer_id for row in found]
        customer_ids += kept
    return merge_ids, customer_ids


def _give_back(
    tx: Connection, kept: Customer, merged: Customer, done: Merge, merge_ids: list[int], customer_ids: list[int]
) -> None:
    organization_id = kept.organization_id
    c = customers_table.c
    moved = {done.id, *merge_ids}
    returning = [row for row in customers.threads_of(tx, organization_id, [kept.id]) if row.merge_id in moved]
    taken = {row.business_id for row in customers.threads_of(tx, organization_id, [merged.id])}
    if any(row.business_id in taken for row in returning):
        raise Conflict(
            "A conversation cannot return: its customer now has another one with the same business.",
            "A conversation that moved conflicts with another one now",
        )
    of_threads = (threads.c.organization_id == organization_id) & threads.c.id.in_([row.id for row in returning])
    of_identities = customers.of_customers(customer_identities, organization_id, [kept.id])
    for table, mine in ((threads, of_threads), (customer_identities, of_identities)):
        # What an earlier merge moved keeps the id of that merge.
        left = case((table.c.merge_id == done.id, null()), else_=table.c.merge_id)
        back = update(table).where(mine, table.c.merge_id.in_(moved))
        tx.execute(back.values(customer_id=merged.id, merge_id=left))
    ours = c.organization_id == organization_id
    tx.execute(update(customers_table).where(ours, c.id.in_(customer_ids)).values(merged_into_id=merged.id))
    # A block belongs to the identities of a customer, so it stays with the customers who have them.
    customers.set_columns(tx, merged, merged_into_id=None, blocked_at_ms=kept.blocked_at_ms)
    _part(tx, kept, merged)
    _part(tx, merged, kept)
    filled = done.filled_fields.split()
    as_before = {name: None for name in filled if getattr(kept, name) == getattr(merged, name)}
    if as_before:
        customers.set_columns(tx, kept, **as_before)


def _part(tx: Connection, customer: Customer, other: Customer) -> None:
    """Remove identities of the one customer from conversations and sessions of the other."""
    organization_id = customer.organization_id
    # Numbers never look like addresses.
    values = [spelling for each in customers.identities_of(tx, other) for spelling in phone_spellings(each.value)]
    family = canonical.with_merged(tx, organization_id, customer.id)
    ids = [row.id for row in customers.threads_of(tx, organization_id, family)]
    of_threads = and_(threads.c.organization_id == organization_id, threads.c.id.in_(ids))
    of_sessions = customers.of_customers(customer_sessions, organization_id, family)
    for table, mine, names in (
        (threads, of_threads, ("last_email", "last_phone")),
        (customer_sessions, of_sessions, ("email", "phone")),
    ):
        for name in names:
            tx.execute(update(table).where(mine, table.c[name].in_(values)).values({name: None}))


def find_page(tx: Connection, organization_id: int, *, before_id: int | None = None, limit: int) -> list[Merge]:
    """The merges of an organization, the latest first.

    Args:
        before_id: only merges with a lower id.
        limit: how many at most.
    """
    m = customer_merges.c
    query = select(customer_merges).where(m.organization_id == organization_id).order_by(m.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(m.id < before_id)
    return [Merge(**row) for row in tx.execute(query).mappings()]
