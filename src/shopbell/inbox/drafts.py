"""Drafts of employees, and drafts that programs suggest. Owns their tables.

An employee has at most one draft of a reply and one of a note in each thread. In addition, programs can suggest one of
each to all employees.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, select, update

from shopbell.conversations import threads
from shopbell.customers import customers
from shopbell.db.businesses import Businesses, is_among
from shopbell.db.ids import take_id
from shopbell.db.schema.core import threads as threads_table
from shopbell.db.schema.inbox_tools import draft_attachments, drafts
from shopbell.errors import Conflict, NotFound
from shopbell.inbox import files
from shopbell.organizations import employees

Mode = Literal["reply", "note"]

_C = drafts.c


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft.

    Args:
        employee_id: whose it is; None if a program suggests it to all employees.
        by_program: whether a program wrote the text, and no employee has changed it.
        updated_at_ms: in Unix ms.
        attachment_ids: its files, in order.
    """

    organization_id: int
    id: int
    thread_id: int
    employee_id: int | None
    mode: Mode
    body: str
    by_program: bool
    updated_at_ms: int
    attachment_ids: tuple[int, ...]


class OwnDraftExists(Conflict):
    """409: the employee already has a draft there."""

    def __init__(self) -> None:
        super().__init__("You already have a draft in this conversation. Send or delete it first.")


def save(
    tx: Connection,
    organization_id: int,
    thread_id: int,
    mode: Mode,
    body: str,
    attachment_ids: Sequence[int],
    *,
    employee_id: int | None,
    now_ms: int,
) -> Draft | None:
    """Store a draft instead of the earlier one; without text and files, delete it.

    Args:
        employee_id: whose draft it is; None if a program suggests it.

    Returns:
        The draft; None if there is none now.

    Raises:
        NotFound: 404; there is no such thread, employee or file.
        Conflict: 409; the customer was erased.
    """
    _lock_thread(tx, organization_id, thread_id)
    # Locked, so that the employee stays active: the drafts of an employee who leaves are deleted.
    employees.check_acting(tx, organization_id, employee_id, lock=True)
    files.check(tx, organization_id, attachment_ids)
    present = _own(tx, organization_id, thread_id, mode, employee_id)
    if not body.strip() and not attachment_ids:
        if present is not None:
            _delete(tx, organization_id, [present.id])
        return None
    values = {"body": body, "by_program": employee_id is None, "updated_at_ms": now_ms}
    if present is None:
        draft_id = take_id(tx)
        key = {"organization_id": organization_id, "id": draft_id, "thread_id": thread_id}
        tx.execute(insert(drafts).values(key | values | {"mode": mode, "employee_id": employee_id}))
    else:
        draft_id = present.id
        tx.execute(update(drafts).where(_is(organization_id, draft_id)).values(values))
    if present is None or present.attachment_ids != tuple(attachment_ids):
        files.replace(tx, draft_attachments, organization_id, draft_id, attachment_ids)
    return find(tx, organization_id, draft_id)


def take_over(tx: Connection, organization_id: int, draft_id: int, employee_id: int, *, now_ms: int) -> Draft:
    """Let an employee take over the draft that a program suggests.

    Others no longer see it.

    Raises:
        NotFound: 404; there is no such employee, or no such suggestion: another employee may have taken it over.
        Conflict: 409; the employee has a draft in the thread already, or the customer was erased.
    """
    _lock_thread(tx, organization_id, find(tx, organization_id, draft_id).thread_id)
    suggested = find(tx, organization_id, draft_id)
    if suggested.employee_id is not None:
        raise NotFound("draftId")
    employees.check_acting(tx, organization_id, employee_id, lock=True)
    if _own(tx, organization_id, suggested.thread_id, suggested.mode, employee_id) is not None:
        raise OwnDraftExists
    values = {"employee_id": employee_id, "updated_at_ms": now_ms}
    tx.execute(update(drafts).where(_is(organization_id, draft_id)).values(values))
    return find(tx, organization_id, draft_id)


def discard(tx: Connection, organization_id: int, draft_id: int, *, employee_id: int | None) -> Draft:
    """Delete a draft of the caller, or one that a program suggests.

    Args:
        employee_id: the caller; None for a program.

    Returns:
        The draft that was deleted.

    Raises:
        NotFound: 404; there is no such employee or draft, or it is another employee's.
    """
    employees.check_acting(tx, organization_id, employee_id)
    threads.lock(tx, organization_id, find(tx, organization_id, draft_id).thread_id)
    draft = find(tx, organization_id, draft_id)
    if draft.employee_id not in (None, employee_id):
        raise NotFound("draftId")
    _delete(tx, organization_id, [draft_id])
    return draft


def find(tx: Connection, organization_id: int, draft_id: int) -> Draft:
    """A draft of the organization, of any employee.

    Raises:
        NotFound: 404.
    """
    found = _read(tx, organization_id, _is(organization_id, draft_id))
    if not found:
        raise NotFound("draftId")
    return found[0]


def in_thread(tx: Connection, organization_id: int, thread_id: int, employee_id: int | None) -> list[Draft]:
    """The drafts of a thread that an employee sees, the newest first.

    These are their own drafts, and those that programs suggest.

    Args:
        employee_id: the employee; None for a program, which sees suggestions only.
    """
    seen = _is_of(None) | _is_of(employee_id)
    return _read(tx, organization_id, _by_index(organization_id), _C.thread_id == thread_id, seen)


def find_page(
    tx: Connection,
    organization_id: int,
    employee_id: int | None,
    *,
    businesses: Businesses = None,
    before_id: int | None = None,
    limit: int,
) -> list[Draft]:
    """The drafts of an employee in all threads, the newest first.

    Args:
        employee_id: the employee; None for the drafts that programs suggest.
        businesses: only in conversations with one of these.
        before_id: only drafts with a lower id.
        limit: how many at most.

    Raises:
        NotFound: 404; there is no such employee.
    """
    employees.check_acting(tx, organization_id, employee_id)
    which = [_by_index(organization_id), _is_of(employee_id)]
    if before_id is not None:
        which.append(_C.id < before_id)
    if businesses is not None:
        t = threads_table.c
        of_thread = and_(t.organization_id == _C.organization_id, t.id == _C.thread_id)
        which.append(exists().where(of_thread, is_among(t.business_id, businesses)))
    return _read(tx, organization_id, *which, limit=limit)


def delete_of_threads(tx: Connection, organization_id: int, thread_ids: Collection[int], *, limit: int) -> list[Draft]:
    """Delete and return some drafts of threads."""
    return _delete_some(tx, organization_id, _by_index(organization_id), _C.thread_id.in_(thread_ids), limit=limit)


def delete_of_employee(tx: Connection, organization_id: int, employee_id: int, *, limit: int) -> list[Draft]:
    """Delete and return some drafts of an employee."""
    return _delete_some(tx, organization_id, _by_index(organization_id), _is_of(employee_id), limit=limit)


def delete_old(tx: Connection, organization_id: int, *, before_ms: int, limit: int) -> list[Draft]:
    """Delete and return some drafts last changed before a time in Unix ms."""
    return _delete_some(
        tx, organization_id, _C.organization_id == organization_id, _C.updated_at_ms < before_ms, limit=limit
    )


def _lock_thread(tx: Connection, organization_id: int, thread_id: int) -> None:
    """Lock a thread, and check that its customer was not erased.

    A new draft could repeat what was erased.

    Raises:
        NotFound: 404.
        Conflict: 409; the customer was erased.
    """
    thread = threads.lock(tx, organization_id, thread_id)
    for customer in customers.rows(tx, organization_id, [thread.customer_id]):
        customers.refuse_erased(customer)


def _own(tx: Connection, organization_id: int, thread_id: int, mode: Mode, employee_id: int | None) -> Draft | None:
    in_thread = (_C.organization_id == organization_id, _C.thread_id == thread_id, _C.mode == mode)
    found = _read(tx, organization_id, *in_thread, _is_of(employee_id))
    return found[0] if found else None


def _read(tx: Connection, organization_id: int, *which: ColumnElement[bool], limit: int | None = None) -> list[Draft]:
    """Drafts of an organization, the newest first; ``which`` contains its condition."""
    rows = tx.execute(select(drafts).where(*which).order_by(_C.id.desc()).limit(limit)).mappings().all()
    files_of = files.of(tx, draft_attachments, organization_id, [row["id"] for row in rows])
    return [Draft(**row, attachment_ids=files_of[row["id"]]) for row in rows]


def _delete_some(tx: Connection, organization_id: int, *which: ColumnElement[bool], limit: int) -> list[Draft]:
    found = _read(tx, organization_id, *which, limit=limit)
    _delete(tx, organization_id, [draft.id for draft in found])
    return found


def _delete(tx: Connection, organization_id: int, draft_ids: Sequence[int]) -> None:
    files.remove(tx, draft_attachments, organization_id, draft_ids)
    tx.execute(delete(drafts).where(_C.organization_id == organization_id, _C.id.in_(draft_ids)))


def _is(organization_id: int, draft_id: int) -> ColumnElement[bool]:
    return (_C.organization_id == organization_id) & (_C.id == draft_id)


def _by_index(organization_id: int) -> ColumnElement[bool]:
    """The condition for an organization in a query that uses an index."""
    # The zero keeps SQLite from using the primary key: it would read all rows of the organization.
    return _C.organization_id + 0 == organization_id


def _is_of(employee_id: int | None) -> ColumnElement[bool]:
    return _C.employee_id.is_(None) if employee_id is None else _C.employee_id == employee_id
