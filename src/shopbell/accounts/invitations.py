"""Links with which employees get in for the first time, or again. Owns their table.

A link works once. Opening it only shows the invitation; accepting it is a POST, because mail scanners open links.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, or_, select, update

from shopbell.accounts import roles, sign_in
from shopbell.accounts.roles import Grants, Roles
from shopbell.db.ids import take_id
from shopbell.db.schema.accounts import invitations
from shopbell.db.schema.core import employees as employees_table
from shopbell.db.schema.core import organizations
from shopbell.errors import Conflict, NotFound
from shopbell.events import audit
from shopbell.organizations import employees
from shopbell.organizations.employees import Employee
from shopbell.security.tokens import is_well_formed, new_token, token_hash

KEY_PURPOSE = "invitation"
"""For ``Keys.derive``: the keys with which links are hashed."""

PREFIX = "sbi_"
PATH = "/invitations/"
"""The path of the link, followed by its token."""

_HOUR_MS = 60 * 60 * 1_000
BY_EMAIL_MS = 7 * 24 * _HOUR_MS
"""How long a link is valid that was sent by email."""

PRINTED_MS = _HOUR_MS
"""How long a link is valid that the command line printed."""


class NoRole(Conflict):
    """409: an employee without a role cannot sign in."""

    def __init__(self) -> None:
        super().__init__("This employee has no role. Give them one: owner, manager or member.")


class NoAddress(Conflict):
    """409: an employee signs in with an email address, and this one has none."""

    def __init__(self) -> None:
        super().__init__("This employee has no email address. Add one first.")


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that can be accepted. Times are Unix ms."""

    organization_id: int
    id: int
    employee_id: int
    expires_at_ms: int
    organization_name: str
    name: str = field(repr=False)
    email: str = field(repr=False)


def create(
    tx: Connection,
    keys: Sequence[bytes],
    organization_id: int,
    employee_id: int,
    *,
    valid_ms: int,
    actor: str,
    now_ms: int,
) -> str:
    """Invite an employee; replaces an invitation that they have not accepted.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        actor: who invites them, as the audit log names them.

    Returns:
        The token that follows ``PATH``; it is not stored.

    Raises:
        NotFound: 404; there is no such active employee.
        NoAddress: 409.
    """
    e = employees_table.c
    query = select(e.email).where(
        e.organization_id == organization_id, e.id == employee_id, e.deactivated_at_ms.is_(None)
    )
    employee = tx.execute(query.with_for_update()).first()  # locked: each employee has one invitation
    if employee is None:
        raise NotFound("employeeId")
    if employee.email is None:
        raise NoAddress
    c = invitations.c
    tx.execute(
        delete(invitations).where(
            c.organization_id == organization_id, c.employee_id == employee_id, c.used_at_ms.is_(None)
        )
    )
    token = new_token(PREFIX)
    tx.execute(
        insert(invitations).values(
            organization_id=organization_id,
            id=take_id(tx),
            employee_id=employee_id,
            email=employee.email,
            token_hash=token_hash(keys[0], token),
            created_at_ms=now_ms,
            expires_at_ms=now_ms + valid_ms,
        )
    )
    audit.record(tx, organization_id, actor, "employee.invite", f"employee {employee_id}", now_ms=now_ms)
    return token


def invite(
    tx: Connection,
    keys: Sequence[bytes],
    organization_id: int,
    email: str,
    *,
    name: str | None = None,
    wanted: Roles | None = None,
    by: Grants | None,
    valid_ms: int,
    actor: str,
    now_ms: int,
) -> tuple[Employee, str]:
    """Invite the employee with an address, who is created if there is none.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        email: in normal form.
        name: the name of a new employee; without one, the part of the address before the ``@``.
        wanted: their roles; None keeps those that they have.
        by: what the caller may do; None for the operator.
        actor: who invites, as the audit log names them.

    Returns:
        The employee, and the token that follows ``PATH``.

    Raises:
        NotFound: 404; a business of ``wanted`` does not exist.
        MayNotGrant: 403.
        LastOwner: 409.
        NoRole: 409; they would have no role.
    """
    employee = employees.find_by_email(tx, organization_id, email) or employees.create(
        tx, organization_id, name or email.partition("@")[0], email, actor=actor, now_ms=now_ms
    )
    if wanted is not None:
        roles.change(tx, organization_id, employee.id, wanted, by=by, actor=actor, now_ms=now_ms)
    elif not roles.find(tx, organization_id, employee.id):
        raise NoRole
    token = create(tx, keys, organization_id, employee.id, valid_ms=valid_ms, actor=actor, now_ms=now_ms)
    return employee, token


def find(tx: Connection, keys: Sequence[bytes], token: str, *, now_ms: int) -> Invitation | None:
    """The invitation with a token, if it can be accepted now.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``.
        token: as sent; any text.
    """
    if not is_well_formed(token, PREFIX):
        return None
    c, e, o = invitations.c, employees_table.c, organizations.c
    query = (
        select(
            c.organization_id,
            c.id,
            c.employee_id,
            c.expires_at_ms,
            o.name.label("organization_name"),
            e.name,
            e.email,
        )  # the token determines the organization
        .join(employees_table, (e.organization_id == c.organization_id) & (e.id == c.employee_id))
        .join(organizations, o.id == c.organization_id)
        .where(
            c.token_hash.in_([token_hash(key, token) for key in keys]),
            c.used_at_ms.is_(None),
            c.expires_at_ms > now_ms,
            e.email == c.email,
            e.deactivated_at_ms.is_(None),
        )
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else Invitation(**row)


def accept(tx: Connection, invitation: Invitation, *, name: str | None = None, now_ms: int) -> bool:
    """Use an invitation up, and remove all credentials that the employee had.

    An invitation gives the account to a new person, or to one who has lost their second factor.

    Args:
        name: the new name of the employee; None keeps the present one.

    Returns:
        False if another request has used it up.
    """
    of = (invitation.organization_id, invitation.employee_id)
    c = invitations.c
    used = tx.execute(
        update(invitations)
        .where(c.organization_id == invitation.organization_id, c.id == invitation.id, c.used_at_ms.is_(None))
        .values(used_at_ms=now_ms)
    )
    if used.rowcount == 0:
        return False
    actor = f"employee {invitation.employee_id}"
    audit.record(tx, invitation.organization_id, actor, "employee.accept", actor, now_ms=now_ms)
    if name is not None and name != invitation.name:
        employees.change(tx, *of, name=name, actor=actor, now_ms=now_ms)
    sign_in.reset(tx, *of, actor=actor, now_ms=now_ms)
    return True


def forget_old(tx: Connection, now_ms: int) -> int:
    """Delete invitations that have expired or were used; returns how many."""
    c = invitations.c
    return tx.execute(delete(invitations).where(or_(c.expires_at_ms <= now_ms, c.used_at_ms.is_not(None)))).rowcount
