"""The roles of employees, in the organization and in single businesses. Owns their tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, func, insert, select

from shopbell.accounts import sessions
from shopbell.accounts.permissions import ROLES
from shopbell.db.businesses import Businesses
from shopbell.db.schema.accounts import business_roles, invitations, organization_roles
from shopbell.db.schema.core import businesses, employees
from shopbell.errors import Conflict, NotFound, RequestError
from shopbell.events import audit

OWNER = "owner"


class MayNotGrant(RequestError):
    """403: the caller would give, or take away, permissions that they do not have."""

    def __init__(self) -> None:
        super().__init__("You can only give and take roles whose permissions you have yourself.")


class LastOwner(Conflict):
    """409: the organization would have no owner."""

    def __init__(self) -> None:
        super().__init__("This is the only owner. Make another employee an owner first.")


@dataclass(frozen=True, slots=True)
class Grants:
    """What a caller may do.

    Args:
        everywhere: their permissions in all businesses.
        businesses: their permissions in single businesses, by their id.
    """

    everywhere: frozenset[str]
    businesses: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def within(self, business_id: int) -> frozenset[str]:
        """What they may do in one business."""
        return self.everywhere | self.businesses.get(business_id, frozenset())

    def businesses_with(self, permission: str) -> Businesses:
        """The businesses in which they have a permission."""
        if permission in self.everywhere:
            return None
        return frozenset(id_ for id_, permissions in self.businesses.items() if permission in permissions)


@dataclass(frozen=True, slots=True)
class Roles:
    """What an employee is.

    Args:
        organization: the role in all businesses, if any.
        businesses: the role in single businesses, by their id.
    """

    organization: str | None = None
    businesses: Mapping[int, str] = field(default_factory=dict)

    @property
    def permissions(self) -> frozenset[str]:
        """What they may do everywhere."""
        return ROLES[self.organization] if self.organization else frozenset()

    @property
    def grants(self) -> Grants:
        """What they may do, everywhere and in single businesses."""
        return Grants(self.permissions, {id_: ROLES[role] for id_, role in self.businesses.items()})

    def __bool__(self) -> bool:
        return self.organization is not None or bool(self.businesses)


def find(tx: Connection, organization_id: int, employee_id: int) -> Roles:
    """The roles of an employee; none if there is no such employee."""
    return of_employees(tx, organization_id, [employee_id])[employee_id]


def of_employees(tx: Connection, organization_id: int, employee_ids: Collection[int]) -> dict[int, Roles]:
    """The roles of several employees of an organization, by their id."""
    o, b = organization_roles.c, business_roles.c
    ids = sorted(employee_ids)
    everywhere = tx.execute(
        select(o.employee_id, o.role).where(o.organization_id == organization_id, o.employee_id.in_(ids))
    )
    role_of = {row.employee_id: row.role for row in everywhere}
    in_businesses: dict[int, dict[int, str]] = {id_: {} for id_ in ids}
    for row in tx.execute(
        select(b.employee_id, b.business_id, b.role).where(b.organization_id == organization_id, b.employee_id.in_(ids))
    ):
        in_businesses[row.employee_id][row.business_id] = row.role
    return {id_: Roles(role_of.get(id_), in_businesses[id_]) for id_ in ids}


def change(
    tx: Connection,
    organization_id: int,
    employee_id: int,
    wanted: Roles,
    *,
    by: Grants | None,
    actor: str,
    now_ms: int,
) -> None:
    """Set the roles of an employee. If they differ, their sessions end, and an invitation works no more.

    Who invited a member must not hold a link to the account of an owner.

    Args:
        wanted: all roles that they are to have.
        by: what the caller may do; None for the operator.
        actor: who changes them, as the audit log names them.

    Raises:
        NotFound: 404; there is no such employee, or no such business.
        MayNotGrant: 403.
        LastOwner: 409.
    """
    _check_exist(tx, organization_id, employee_id, wanted)
    present = find(tx, organization_id, employee_id)
    if present == wanted:
        return
    if by is not None:
        check_may_grant(by, present, wanted)
    if present.organization == OWNER != wanted.organization:
        _check_other_owner(tx, organization_id, employee_id)
    for table in (organization_roles, business_roles):
        of_employee = (table.c.organization_id == organization_id) & (table.c.employee_id == employee_id)
        tx.execute(delete(table).where(of_employee))
    own = {"organization_id": organization_id, "employee_id": employee_id}
    if wanted.organization:
        tx.execute(insert(organization_roles).values(own | {"role": wanted.organization}))
    if wanted.businesses:
        rows = [own | {"business_id": id_, "role": role} for id_, role in sorted(wanted.businesses.items())]
        tx.execute(insert(business_roles), rows)
    audit.record(tx, organization_id, actor, "employee.roles", f"employee {employee_id}", now_ms=now_ms)
    sessions.end_all(tx, organization_id, employee_id, actor=actor, now_ms=now_ms)
    c = invitations.c
    tx.execute(
        delete(invitations).where(
            c.organization_id == organization_id, c.employee_id == employee_id, c.used_at_ms.is_(None)
        )
    )


def check_may_leave(tx: Connection, organization_id: int, employee_id: int) -> None:
    """Check that an owner remains if an employee is deactivated in this transaction.

    Raises:
        LastOwner: 409.
    """
    _lock_all(tx, organization_id)
    if find(tx, organization_id, employee_id).organization == OWNER:
        _check_other_owner(tx, organization_id, employee_id)


def _lock_all(tx: Connection, organization_id: int) -> None:
    """Lock the employees of an organization: two owners must not demote or deactivate each other at once."""
    e = employees.c
    tx.execute(
        select(e.id)
        .where(e.organization_id == organization_id, e.deactivated_at_ms.is_(None))
        .order_by(e.id)
        .with_for_update()
    )


def _check_exist(tx: Connection, organization_id: int, employee_id: int, wanted: Roles) -> None:
    e, b = employees.c, businesses.c
    _lock_all(tx, organization_id)
    active = select(e.id).where(
        e.organization_id == organization_id, e.id == employee_id, e.deactivated_at_ms.is_(None)
    )
    if tx.execute(active).first() is None:
        raise NotFound("employeeId")
    known = set(
        tx.scalars(select(b.id).where(b.organization_id == organization_id, b.id.in_(sorted(wanted.businesses))))
    )
    if known != set(wanted.businesses):
        raise NotFound("businessId")


def check_may_grant(by: Grants, present: Roles, wanted: Roles) -> None:
    """Check that a caller has all permissions that they give or take.

    Raises:
        MayNotGrant: 403.
    """
    if present.organization != wanted.organization:
        for role in (present.organization, wanted.organization):
            if role and not ROLES[role] <= by.everywhere:
                raise MayNotGrant
        if "employees:manage" not in by.everywhere:
            raise MayNotGrant
    for business_id in present.businesses.keys() | wanted.businesses.keys():
        before, after = present.businesses.get(business_id), wanted.businesses.get(business_id)
        if before != after:
            may = by.within(business_id)
            if "employees:manage" not in may or any(role and not ROLES[role] <= may for role in (before, after)):
                raise MayNotGrant


def _check_other_owner(tx: Connection, organization_id: int, employee_id: int) -> None:
    o, e = organization_roles.c, employees.c
    others = tx.execute(
        select(func.count())
        .select_from(organization_roles)
        .join(employees, (e.organization_id == o.organization_id) & (e.id == o.employee_id))
        .where(
            o.organization_id == organization_id,
            o.role == OWNER,
            o.employee_id != employee_id,
            e.deactivated_at_ms.is_(None),
        )
    ).scalar_one()
    if others == 0:
        raise LastOwner
