"""Employees' accounts at OpenID Connect providers. Owns their table.

An account at a provider opens one employee's account here, and an employee has at most one account of each provider.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell.accounts.id_tokens import Claims
from shopbell.db.ids import take_id
from shopbell.db.schema.accounts import oidc_identities
from shopbell.errors import NotFound, ShopbellError
from shopbell.events import audit


class IdentityRefused(ShopbellError):
    """A sign-in or a link is refused. The text tells only the operator why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An account at a provider. Times are Unix ms."""

    organization_id: int
    id: int
    employee_id: int
    issuer: str
    subject: str = field(repr=False)
    email: str | None = field(repr=False)
    created_at_ms: int
    last_used_at_ms: int | None


def find(tx: Connection, issuer: str, subject: str) -> Identity | None:
    """The identity that a provider names, in any organization."""
    c = oidc_identities.c
    row = tx.execute(select(oidc_identities).where(c.issuer == issuer, c.subject == subject)).mappings().first()
    return None if row is None else Identity(**row)


def of_employee(tx: Connection, organization_id: int, employee_id: int) -> list[Identity]:
    """The identities of an employee, the oldest first."""
    c = oidc_identities.c
    query = (
        select(oidc_identities).where(c.organization_id == organization_id, c.employee_id == employee_id).order_by(c.id)
    )
    return [Identity(**row) for row in tx.execute(query).mappings()]


def link(tx: Connection, organization_id: int, employee_id: int, issuer: str, claims: Claims, *, now_ms: int) -> None:
    """Let an employee sign in with an account at a provider.

    Raises:
        IdentityRefused: it is linked already, or the employee has another one at this provider. The transaction must
            not be committed.
    """
    identity_id = take_id(tx)
    try:
        tx.execute(
            insert(oidc_identities).values(
                organization_id=organization_id,
                id=identity_id,
                employee_id=employee_id,
                issuer=issuer,
                subject=claims.subject,
                email=claims.email,
                created_at_ms=now_ms,
            )
        )
    except IntegrityError:
        raise IdentityRefused("it is already linked, or the employee is linked with another identity") from None
    actor = f"employee {employee_id}"
    audit.record(tx, organization_id, actor, "oidc.link", f"identity {identity_id}", now_ms=now_ms)


def note_use(tx: Connection, identity: Identity, *, now_ms: int) -> None:
    """Store that an employee signed in with an identity."""
    c = oidc_identities.c
    tx.execute(
        update(oidc_identities)
        .where(c.organization_id == identity.organization_id, c.id == identity.id)
        .values(last_used_at_ms=now_ms)
    )


def remove(tx: Connection, organization_id: int, employee_id: int, identity_id: int, *, now_ms: int) -> None:
    """Remove an identity of an employee.

    Raises:
        NotFound: 404.
    """
    c = oidc_identities.c
    gone = tx.execute(
        delete(oidc_identities).where(
            c.organization_id == organization_id, c.employee_id == employee_id, c.id == identity_id
        )
    )
    if gone.rowcount == 0:
        raise NotFound
    actor = f"employee {employee_id}"
    audit.record(tx, organization_id, actor, "oidc.unlink", f"identity {identity_id}", now_ms=now_ms)


def remove_all(tx: Connection, organization_id: int, employee_id: int, *, actor: str, now_ms: int) -> None:
    """Remove all identities of an employee, if there are any.

    Args:
        actor: who removes them, as the audit log names them.
    """
    c = oidc_identities.c
    gone = tx.execute(delete(oidc_identities).where(c.organization_id == organization_id, c.employee_id == employee_id))
    if gone.rowcount:
        audit.record(tx, organization_id, actor, "oidc.unlink-all", f"employee {employee_id}", now_ms=now_ms)
