"""Transfer conversations to another business, and assign them to employees."""

import dataclasses

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from shopbell.conversations import threads
from shopbell.conversations.threads import Thread
from shopbell.customers import canonical
from shopbell.db.lock_order import lock_customers_shared
from shopbell.db.schema.core import assignments, customer_merges
from shopbell.db.schema.core import threads as threads_table
from shopbell.errors import Conflict, NotFound
from shopbell.events import record
from shopbell.events.actors import Actor
from shopbell.organizations import employees, organizations
from shopbell.runtime import clock

RELEASED_AT_ONCE = 100
"""Threads per transaction when an employee leaves: the transaction locks the organization's feed."""


class AlreadyThere(Conflict):
    """The customer has a thread with the new business already."""

    def __init__(self) -> None:
        super().__init__(
            "The customer already has a conversation with that business, and there is one for each customer and "
            "business. Nothing was transferred: go on in that one.",
            "The customer already has a conversation with that business; "
            "GET /api/threads with customerId and businessId finds it",
        )


def transfer(tx: Connection, organization_id: int, thread_id: int, business_id: int, *, actor: Actor) -> None:
    """Transfer a thread with all its messages to another business.

    Its status and assignee stay. The customer's next message to the old business opens a new thread there.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread.
        business_id: the new business.
        actor: who transfers it.

    Raises:
        NotFound: there is no such thread, business or employee.
        Conflict: it is with that business already, the business is closed, or the customer has another thread with it.
    """
    thread = threads.lock(tx, organization_id, thread_id)
    business = organizations.find_business(tx, organization_id, business_id)
    if business is None:
        raise NotFound("businessId")
    employees.check_acting(tx, organization_id, actor.employee_id)
    if business_id == thread.business_id:
        raise Conflict("The conversation is with that business already.")
    if not business.active:
        raise Conflict("That business is closed: no conversation can be transferred to it.")
    customer_id, merge_id = _make_way(tx, thread, business_id)
    now_ms = clock.now_ms()
    columns = {"business_id": business_id, "customer_id": customer_id, "merge_id": merge_id}
    try:
        threads.change(tx, thread, **columns, updated_at_ms=now_ms)
    except IntegrityError:  # the customer has just written to that business
        raise AlreadyThere from None
    details = {"fromBusinessId": thread.business_id, "toBusinessId": business_id, "employeeUserId": actor.employee_id}
    there = threads.in_thread(dataclasses.replace(thread, **columns))  # type: ignore[arg-type]  # by name
    record.record(tx, organization_id, "transfer", actor=actor, now_ms=now_ms, thread=there, details=details)


def _make_way(tx: Connection, thread: Thread, business_id: int) -> tuple[int, int | None]:
    """Find the customer who gets the thread, and the merge that moves it.

    Raises:
        AlreadyThere: the customer has a thread with that business, under any of their ids.
    """
    c = threads_table.c
    owner_id, *merged = canonical.merged_ids(tx, thread.organization_id, thread.customer_id)
    there = (
        select(c.id, c.last_sequence)
        .where(c.organization_id == thread.organization_id, c.business_id == business_id)
        .where(c.customer_id.in_([owner_id, *merged]))
        .order_by(c.customer_id)  # the order of the key, which SQLite uses then
        .with_for_update()
    )
    in_the_way = tx.execute(there).all()
    if any(last_sequence > 0 for _, last_sequence in in_the_way):
        raise AlreadyThere
    # A thread that a customer opened while blocked has no message: no one has seen it, and nothing refers to it.
    unseen = [id_ for id_, _ in in_the_way]
    tx.execute(delete(threads_table).where(c.organization_id == thread.organization_id, c.id.in_(unseen)))
    if owner_id == thread.customer_id:
        return owner_id, thread.merge_id
    # The thread stayed with a merged customer because the kept one had a thread with the same business. With the new
    # business there is none, so it moves to the kept customer, who writes the next message. Undoing the merge returns
    # it: like everything that a merge moves, it has the id of the first merge that took it from its owner.
    if thread.merge_id is not None:
        return owner_id, thread.merge_id
    m = customer_merges.c
    merge = select(m.id).where(
        m.organization_id == thread.organization_id,
        m.merged_customer_id == thread.customer_id,
        m.undone_at_ms.is_(None),
    )
    return owner_id, tx.scalars(merge.order_by(m.id.desc())).first()


def assign(tx: Connection, organization_id: int, thread_id: int, employee_id: int, *, actor: Actor) -> None:
    """Assign a thread to an employee; replaces the previous one.

    Args:
        actor: who assigns it.

    Raises:
        NotFound: there is no such thread, or no active employee of that id.
    """
    thread = threads.lock(tx, organization_id, thread_id)
    # Locked, so that a transaction that deactivates the employee sees the assignment afterwards.
    if not employees.is_active(tx, organization_id, employee_id, lock=True):
        raise NotFound("employeeUserId")
    _assign(tx, thread, employee_id, actor)


def unassign(tx: Connection, organization_id: int, thread_id: int, *, actor: Actor) -> None:
    """Remove the assignee of a thread.

    Args:
        actor: who removes them.

    Raises:
        NotFound: there is no such thread.
    """
    _assign(tx, threads.lock(tx, organization_id, thread_id), None, actor)


def release(tx: Connection, organization_id: int, employee_id: int, *, actor: Actor) -> int:
    """Remove some assignments of an employee who has left.

    Args:
        actor: who deactivated them.

    Returns:
        How many were removed; 0 if none are left.
    """
    lock_customers_shared(tx)
    c = assignments.c
    query = select(c.thread_id).where(c.organization_id == organization_id, c.employee_id == employee_id)
    found = tx.scalars(query.order_by(c.thread_id).limit(RELEASED_AT_ONCE)).all()
    locked = [threads.lock(tx, organization_id, thread_id) for thread_id in found]
    still = set(tx.scalars(query.where(c.thread_id.in_(found))))
    for thread in locked:
        if thread.id in still:
            _assign(tx, thread, None, actor)
    return len(found)


def _assign(tx: Connection, thread: Thread, employee_id: int | None, actor: Actor) -> None:
    c = assignments.c
    is_this = (c.organization_id == thread.organization_id) & (c.thread_id == thread.id)
    before = tx.scalars(select(c.employee_id).where(is_this)).first()
    if before == employee_id:
        return
    now_ms = clock.now_ms()
    tx.execute(delete(assignments).where(is_this))
    if employee_id is not None:
        tx.execute(
            insert(assignments).values(
                organization_id=thread.organization_id,
                thread_id=thread.id,
                employee_id=employee_id,
                assigned_at_ms=now_ms,
            )
        )
    threads.change(tx, thread, updated_at_ms=now_ms)
    details = {"employeeUserId": employee_id, "formerEmployeeUserId": before}
    place = threads.in_thread(thread)
    record.record(tx, thread.organization_id, "assignment", actor=actor, now_ms=now_ms, thread=place, details=details)
