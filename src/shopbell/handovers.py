"""Who a conversation is with: hand it to another business, or to an employee."""

import dataclasses
import time

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from shopbell import customers, employees, events, organizations, threads
from shopbell.errors import Conflict, NotFound
from shopbell.storage.schema import assignments, customer_merges
from shopbell.storage.schema import threads as threads_table
from shopbell.threads import Thread

RELEASED_AT_ONCE = 100
"""How many threads one transaction takes from an employee who leaves: the organization's feed is locked meanwhile."""


class AlreadyThere(Conflict):
    """409: the customer has a thread with the business that this one was to be handed to."""

    def __init__(self) -> None:
        super().__init__(
            "The customer already has a conversation with that business, and there is one for each customer and "
            "business. Nothing was transferred: go on in that one.",
            "The customer already has a conversation with that business; "
            "GET /api/threads with customerId and businessId finds it",
        )


def transfer(
    tx: Connection, organization_id: int, thread_id: int, business_id: int, employee_id: int | None = None
) -> None:
    """Hand a thread over to another business of the organization, with all its messages.

    Its status and its assignee stay. The customer's next message to the former business opens a new thread there.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        thread_id: the thread.
        business_id: where it goes.
        employee_id: the employee who hands it over; None for a program.

    Raises:
        NotFound: 404; the thread, the business or the employee.
        Conflict: 409; it is with that business already, the business is closed, or the customer has another thread
            with it.
    """
    thread = threads.lock(tx, organization_id, thread_id)
    business = organizations.find_business(tx, organization_id, business_id)
    if business is None:
        raise NotFound("businessId")
    if employee_id is not None and not employees.is_active(tx, organization_id, employee_id):
        raise NotFound("employeeUserId")
    if business_id == thread.business_id:
        raise Conflict("The conversation is with that business already.")
    if not business.active:
        raise Conflict("That business is closed: no conversation can be transferred to it.")
    customer_id, merge_id = _make_way(tx, thread, business_id)
    now_ms = time.time_ns() // 1_000_000
    columns = {"business_id": business_id, "customer_id": customer_id, "merge_id": merge_id}
    try:
        threads.change(tx, thread, **columns, updated_at_ms=now_ms)
    except IntegrityError:  # the customer has written to that business just now
        raise AlreadyThere from None
    details = {"fromBusinessId": thread.business_id, "toBusinessId": business_id, "employeeUserId": employee_id}
    there = threads.in_thread(dataclasses.replace(thread, **columns))  # type: ignore[arg-type]  # by name
    events.record(tx, organization_id, "transfer", now_ms=now_ms, thread=there, details=details)


def _make_way(tx: Connection, thread: Thread, business_id: int) -> tuple[int, int | None]:
    """Whose thread it will be, and the merge that made it theirs.

    Raises:
        AlreadyThere: 409; the customer has a thread with that business, under whichever of the ids that they go by.
    """
    c = threads_table.c
    owner_id, *merged = customers.family(tx, thread.organization_id, thread.customer_id)
    there = (
        select(c.id, c.last_sequence)
        .where(c.organization_id == thread.organization_id, c.business_id == business_id)
        .where(c.customer_id.in_([owner_id, *merged]))
        .order_by(c.customer_id)  # the order of the key, by which SQLite goes then
        .with_for_update()
    )
    in_the_way = tx.execute(there).all()
    if any(last_sequence > 0 for _, last_sequence in in_the_way):
        raise AlreadyThere
    # What a customer opened there while being blocked has no message: nobody has seen it, and nothing refers to it.
    unseen = [id_ for id_, _ in in_the_way]
    tx.execute(delete(threads_table).where(c.organization_id == thread.organization_id, c.id.in_(unseen)))
    if owner_id == thread.customer_id:
        return owner_id, thread.merge_id
    # It stayed with a merged customer because the kept one had a thread with the same business. Here there is none: it
    # becomes the kept one's, whom the customer's next message is from. Undoing the merge gives it back: as whatever a
    # merge moves it bears the id of the one that first took it from its owner.
    if thread.merge_id is not None:
        return owner_id, thread.merge_id
    m = customer_merges.c
    merge = select(m.id).where(
        m.organization_id == thread.organization_id,
        m.merged_customer_id == thread.customer_id,
        m.undone_at_ms.is_(None),
    )
    return owner_id, tx.scalars(merge.order_by(m.id.desc())).first()


def assign(tx: Connection, organization_id: int, thread_id: int, employee_id: int) -> None:
    """Let an employee look after a thread, whoever did before.

    Raises:
        NotFound: 404; the thread, or an employee of that id who has not left.
    """
    thread = threads.lock(tx, organization_id, thread_id)
    # Locked, so that whoever deactivates the employee right now finds the assignment afterwards.
    if not employees.is_active(tx, organization_id, employee_id, lock=True):
        raise NotFound("employeeUserId")
    _assign(tx, thread, employee_id)


def unassign(tx: Connection, organization_id: int, thread_id: int) -> None:
    """Let nobody in particular look after a thread.

    Raises:
        NotFound: 404.
    """
    _assign(tx, threads.lock(tx, organization_id, thread_id), None)


def release(tx: Connection, organization_id: int, employee_id: int) -> int:
    """Take some of their threads from an employee who has left.

    Returns:
        How many: when there are none left, 0.
    """
    c = assignments.c
    query = select(c.thread_id).where(c.organization_id == organization_id, c.employee_id == employee_id)
    found = tx.scalars(query.order_by(c.thread_id).limit(RELEASED_AT_ONCE)).all()
    locked = [threads.lock(tx, organization_id, thread_id) for thread_id in found]
    still = set(tx.scalars(query.where(c.thread_id.in_(found))))
    for thread in locked:
        if thread.id in still:
            _assign(tx, thread, None)
    return len(found)


def _assign(tx: Connection, thread: Thread, employee_id: int | None) -> None:
    c = assignments.c
    is_this = (c.organization_id == thread.organization_id) & (c.thread_id == thread.id)
    before = tx.scalars(select(c.employee_id).where(is_this)).first()
    if before == employee_id:
        return
    now_ms = time.time_ns() // 1_000_000
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
    in_thread = threads.in_thread(thread)
    events.record(tx, thread.organization_id, "assignment", now_ms=now_ms, thread=in_thread, details=details)
