"""Employees of an organization: who answers its customers. Owns their table."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell import identity
from shopbell.errors import CommandError, Conflict, NotFound
from shopbell.storage.ids import take_id
from shopbell.storage.schema import employees


@dataclass(frozen=True, slots=True)
class Employee:
    """Somebody who works for an organization. ``email`` is in normal form; times are Unix ms."""

    organization_id: int
    id: int
    name: str
    email: str | None
    created_at_ms: int
    deactivated_at_ms: int | None

    @property
    def active(self) -> bool:
        """Whether they have not left."""
        return self.deactivated_at_ms is None


class EmailTaken(Conflict):
    """409: an active employee of the organization has that address."""

    def __init__(self) -> None:
        super().__init__("Another active employee of the organization has that e-mail address.")


def create(tx: Connection, organization_id: int, name: str, email: str | None, *, now_ms: int) -> Employee:
    """Make an employee of an organization.

    Args:
        tx: the transaction.
        organization_id: the organization.
        name: 1 to 200 characters.
        email: an e-mail address, or none.
        now_ms: the time in Unix ms.

    Raises:
        EmailTaken: 409.
    """
    employee = Employee(organization_id, take_id(tx), name, _normal(email), now_ms, None)
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
    return employee


def get(tx: Connection, employee_id: int) -> Employee:
    """The employee with an id, of whichever organization.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(employees).where(employees.c.id == employee_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no employee {employee_id}; `shopbell employee list` shows them")
    return Employee(**row)


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
        tx: the transaction.
        organization_id: only of this organization.
        active: only those who have not left, or only those who have.
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
    tx: Connection, organization_id: int, employee_id: int, *, name: str | None = None, email: str | None = None
) -> None:
    """Change what is given of an employee and nothing else.

    Args:
        tx: the transaction.
        organization_id: the organization.
        employee_id: whom.
        name: 1 to 200 characters.
        email: an e-mail address; an empty text takes it away.

    Raises:
        NotFound: 404.
        EmailTaken: 409.
    """
    columns: dict[str, str | None] = {}
    if name is not None:
        columns["name"] = name
    if email is not None:
        columns["email"] = _normal(email)
    employee = _lock(tx, organization_id, employee_id)
    if not columns:
        return
    try:
        _set(tx, employee, **columns)
    except IntegrityError:
        raise EmailTaken from None


def deactivate(tx: Connection, organization_id: int, employee_id: int, *, now_ms: int) -> bool:
    """Let an employee leave: what they wrote stays, their threads are to be released (``handovers.release``).

    Returns:
        False when they had left before.

    Raises:
        NotFound: 404.
    """
    employee = _lock(tx, organization_id, employee_id)
    if employee.active:
        _set(tx, employee, deactivated_at_ms=now_ms)
    return employee.active


def is_active(tx: Connection, organization_id: int, employee_id: int, *, lock: bool = False) -> bool:
    """Whether an employee is the organization's and has not left.

    Args:
        tx: the transaction.
        organization_id: the organization.
        employee_id: whom.
        lock: whether it is to stay so until the transaction ends.
    """
    c = employees.c
    query = select(c.id).where(c.organization_id == organization_id, c.id == employee_id, c.deactivated_at_ms.is_(None))
    return tx.execute(query.with_for_update(read=True) if lock else query).first() is not None


def _normal(email: str | None) -> str | None:
    return identity.normal_email(email) if email else None


def _lock(tx: Connection, organization_id: int, employee_id: int) -> Employee:
    c = employees.c
    query = select(employees).where(c.organization_id == organization_id, c.id == employee_id)
    row = tx.execute(query.with_for_update()).mappings().first()
    if row is None:
        raise NotFound("employeeId")
    return Employee(**row)


def _set(tx: Connection, employee: Employee, **columns: object) -> None:
    c = employees.c
    of_this = (c.organization_id == employee.organization_id) & (c.id == employee.id)
    tx.execute(update(employees).where(of_this).values(**columns))
