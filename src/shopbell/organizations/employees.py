"""Employees of an organization, who reply to its customers. Owns their table."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell.db.ids import take_id
from shopbell.db.schema.core import employees
from shopbell.errors import CommandError, Conflict, NotFound
from shopbell.events import audit
from shopbell.formats import identities, names


@dataclass(frozen=True, slots=True)
class Employee:
    """A person who works for an organization. ``email`` is in normal form; times are Unix ms."""

    organization_id: int
    id: int
    name: str
    email: str | None
    created_at_ms: int
    deactivated_at_ms: int | None

    @property
    def active(self) -> bool:
        """Whether they still work for the organization."""
        return self.deactivated_at_ms is None


class EmailTaken(Conflict):
    """409: another active employee of the organization has that address."""

    def __init__(self) -> None:
        super().__init__("Another active employee of the organization has that email address.")


def create(tx: Connection, organization_id: int, name: str, email: str | None, *, actor: str, now_ms: int) -> Employee:
    """Create an employee of an organization.

    Args:
        name: 1 to 200 characters.
        email: an email address, or None.
        actor: who creates them, as the audit log names them.

    Raises:
        EmailTaken: 409.
    """
    employee = Employee(organization_id, take_id(tx), name, (email and _email(email)) or None, now_ms, None)
    try:
        tx.execute(
            insert(employees).values(
                organization_id=organization_id,
                id=employee.id,
                name=employee.name,
                email=employee.email,
                created_at_ms=now_ms,
            )
        )
    except IntegrityError:
        raise EmailTaken from None
    _audit(tx, employee, "create", actor=actor, now_ms=now_ms)
    return employee


def get(tx: Connection, employee_id: int) -> Employee:
    """The employee with an id, of any organization: for operators.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(employees).where(employees.c.id == employee_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no employee {employee_id}; `shopbell employee list` shows them")
    return Employee(**row)


def find(tx: Connection, organization_id: int, employee_id: int) -> Employee | None:
    """An employee of an organization, active or not."""
    c = employees.c
    query = select(employees).where(c.organization_id == organization_id, c.id == employee_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else Employee(**row)


def find_by_email(tx: Connection, organization_id: int, email: str) -> Employee | None:
    """The active employee of an organization with an address in normal form."""
    c = employees.c
    query = select(employees).where(
        c.organization_id == organization_id, c.email == email, c.deactivated_at_ms.is_(None)
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else Employee(**row)


def names_of(tx: Connection, organization_id: int, employee_ids: Collection[int]) -> dict[int, str]:
    """The names of employees of an organization, active or not, by their id."""
    c = employees.c
    query = select(c.id, c.name).where(c.organization_id == organization_id, c.id.in_(sorted(employee_ids)))
    return {row.id: row.name for row in tx.execute(query)}


def find_all(
    tx: Connection,
    organization_id: int | None = None,
    *,
    active: bool | None = None,
    after_id: int = 0,
    limit: int | None = None,
) -> list[Employee]:
    """Employees, the oldest first.

    Args:
        organization_id: only of this organization.
        active: True for active employees only, False for deactivated ones only.
        after_id: only those with a greater id.
        limit: how many at most; None for all.
    """
    c = employees.c
    query = select(employees).where(c.id > after_id).order_by(c.id).limit(limit)
    if organization_id is not None:
        query = query.where(c.organization_id == organization_id)
    if active is not None:
        query = query.where(c.deactivated_at_ms.is_(None) if active else c.deactivated_at_ms.is_not(None))
    return [Employee(**row) for row in tx.execute(query).mappings()]


def change(
    tx: Connection,
    organization_id: int,
    employee_id: int,
    *,
    name: str | None = None,
    email: str | None = None,
    actor: str,
    now_ms: int,
) -> Employee:
    """Set the given fields of an employee; without any, nothing changes.

    Args:
        name: 1 to 200 characters.
        email: an email address; an empty text removes it.
        actor: who changes it, as the audit log names them.

    Raises:
        NotFound: 404.
        EmailTaken: 409.
    """
    columns: dict[str, str | None] = {}
    if name is not None:
        columns["name"] = name
    if email is not None:
        columns["email"] = _email(email) or None
    employee = _lock(tx, organization_id, employee_id)
    if not columns:
        return employee
    try:
        changed = _set(tx, employee, **columns)
    except IntegrityError:
        raise EmailTaken from None
    _audit(tx, employee, "update", actor=actor, now_ms=now_ms)
    return changed


def deactivate(tx: Connection, organization_id: int, employee_id: int, *, actor: str, now_ms: int) -> Employee:
    """Deactivate an employee. What they wrote stays; ``assignment.release`` then unassigns their threads.

    Raises:
        NotFound: 404.
    """
    employee = _lock(tx, organization_id, employee_id)
    if not employee.active:
        return employee
    _audit(tx, employee, "deactivate", actor=actor, now_ms=now_ms)
    return _set(tx, employee, deactivated_at_ms=now_ms)


def is_active(tx: Connection, organization_id: int, employee_id: int, *, lock: bool = False) -> bool:
    """Whether an employee is an active one of the organization.

    Args:
        lock: whether to keep them active until the transaction ends.
    """
    c = employees.c
    query = select(c.id).where(c.organization_id == organization_id, c.id == employee_id, c.deactivated_at_ms.is_(None))
    return tx.execute(query.with_for_update(read=True) if lock else query).first() is not None


def check_acting(tx: Connection, organization_id: int, employee_id: int | None, *, lock: bool = False) -> None:
    """Check that the employee in whose name a request acts is active.

    Args:
        employee_id: the employee; None for a program, which needs none.
        lock: whether to keep them active until the transaction ends.

    Raises:
        NotFound: 404; there is no active employee of that id.
    """
    if employee_id is not None and not is_active(tx, organization_id, employee_id, lock=lock):
        raise NotFound("employeeUserId")


def _email(text: str) -> str:
    return text and identities.normal_email(identities.visible(text))


RULES: Mapping[str, Callable[[str], str]] = {"name": names.line, "email": _email}
"""The rules of the fields of an employee; an empty email means none."""


def _lock(tx: Connection, organization_id: int, employee_id: int) -> Employee:
    c = employees.c
    query = select(employees).where(c.organization_id == organization_id, c.id == employee_id)
    row = tx.execute(query.with_for_update()).mappings().first()
    if row is None:
        raise NotFound("employeeId")
    return Employee(**row)


def _set(tx: Connection, employee: Employee, **columns: Any) -> Employee:
    c = employees.c
    of_this = (c.organization_id == employee.organization_id) & (c.id == employee.id)
    tx.execute(update(employees).where(of_this).values(**columns))
    return replace(employee, **columns)


def _audit(tx: Connection, employee: Employee, verb: str, *, actor: str, now_ms: int) -> None:
    audit.record(tx, employee.organization_id, actor, f"employee.{verb}", f"employee {employee.id}", now_ms=now_ms)
