"""Who may sign in, and what is still needed after the first factor."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from shopbell.accounts import oidc_identities, passkeys, passwords, recovery, roles, sessions, totp
from shopbell.accounts.sessions import Stage
from shopbell.db.schema.accounts import passwords as stored
from shopbell.db.schema.core import employees, organizations
from shopbell.errors import Conflict
from shopbell.formats import identities

ACCOUNTS_MAX = 5
"""How many accounts with one address are tried at most: a person may work for several organizations."""


class LastWayIn(Conflict):
    """409: the employee could no longer sign in."""

    def __init__(self) -> None:
        super().__init__("You could not sign in without this. Set a password or add a passkey first.")


@dataclass(frozen=True, slots=True)
class Account:
    """What is needed to sign in.

    Args:
        organization: the name of the organization.
        password_hash: the stored hash, if there is a password.
        has_totp: whether an authenticator app is set up.
        has_passkey: whether there is a passkey, which is two factors in one.
        needs_second_factor: whether the organization requires one.
    """

    organization_id: int
    employee_id: int
    organization: str
    name: str = field(repr=False)
    password_hash: str | None = field(repr=False)
    has_totp: bool
    has_passkey: bool
    needs_second_factor: bool

    @property
    def stage(self) -> Stage:
        """The stage of a session after one factor."""
        if self.has_totp or (self.has_passkey and self.needs_second_factor):
            return "code"
        return "enrol" if self.needs_second_factor else "full"


def normal_address(text: str) -> str:
    """The normal form of an address that someone typed; empty if it cannot be one."""
    try:
        return identities.normal_email(identities.visible(text))
    except ValueError:
        return ""


class StoredPassword(NamedTuple):
    """The password of an employee."""

    organization_id: int
    employee_id: int
    hash: str


def find_passwords(tx: Connection, email: str) -> tuple[list[StoredPassword], int]:
    """The passwords of the active employees with an address, and how many there can be with any address.

    Each attempt checks so many, or its time would tell how many accounts an address has.

    Args:
        email: in normal form. It is the same in all organizations, so this query names none.
    """
    e, p, o = employees.c, stored.c, organizations.c
    query = (
        select(e.organization_id, e.id, p.hash)
        .join(stored, (p.organization_id == e.organization_id) & (p.employee_id == e.id))
        .where(e.email == email, e.deactivated_at_ms.is_(None))
        .order_by(e.id)
        .limit(ACCOUNTS_MAX)
    )
    # An address has at most one account in each organization.
    some = select(o.id).limit(ACCOUNTS_MAX).subquery()
    possible = tx.scalar(select(func.count()).select_from(some)) or 0
    return [StoredPassword(*row) for row in tx.execute(query)], possible


def find_accounts(tx: Connection, given: Collection[StoredPassword]) -> list[Account]:
    """The accounts that still have these passwords: active employees who have a role."""
    found = [(find(tx, each.organization_id, each.employee_id), each.hash) for each in given]
    return [account for account, hashed in found if account is not None and account.password_hash == hashed]


def find_again(tx: Connection, account: Account) -> Account | None:
    """The account as it is now; None if it has another password than when it was found.

    The password stays until the transaction ends, so a change waits, and then ends the session that is opened here.
    """
    of = (account.organization_id, account.employee_id)
    return find(tx, *of) if passwords.find(tx, *of, lock=True) == account.password_hash else None


def find(tx: Connection, organization_id: int, employee_id: int) -> Account | None:
    """The account of an active employee who has a role."""
    e, o = employees.c, organizations.c
    query = (
        select(e.name, o.name.label("organization"), o.requires_second_factor)
        .join(organizations, o.id == e.organization_id)
        .where(e.organization_id == organization_id, e.id == employee_id, e.deactivated_at_ms.is_(None))
    )
    row = tx.execute(query).first()
    if row is None or not roles.find(tx, organization_id, employee_id):
        return None
    return Account(
        organization_id,
        employee_id,
        row.organization,
        row.name,
        passwords.find(tx, organization_id, employee_id),
        has_totp=totp.is_set_up(tx, organization_id, employee_id),
        has_passkey=bool(passkeys.of_employee(tx, organization_id, employee_id)),
        needs_second_factor=row.requires_second_factor,
    )


def reset(tx: Connection, organization_id: int, employee_id: int, *, actor: str, now_ms: int) -> None:
    """Remove all credentials of an employee and end their sessions.

    The account may now belong to another person.

    Args:
        actor: who resets it, as the audit log names them.
    """
    of = (organization_id, employee_id)
    passwords.remove(tx, *of)
    passkeys.remove_all(tx, *of, actor=actor, now_ms=now_ms)
    oidc_identities.remove_all(tx, *of, actor=actor, now_ms=now_ms)
    totp.remove(tx, *of, actor=actor, now_ms=now_ms)
    recovery.remove(tx, *of)
    sessions.end_all(tx, *of, actor=actor, now_ms=now_ms)


def check_way_in(tx: Connection, organization_id: int, employee_id: int, issuer: str | None) -> None:
    """Check that an employee still has a credential after one was removed.

    Args:
        issuer: the OpenID Connect provider of this installation, if there is one.

    Raises:
        LastWayIn: 409.
    """
    of = (organization_id, employee_id)
    linked = {identity.issuer for identity in oidc_identities.of_employee(tx, *of)}
    if passwords.find(tx, *of) is None and not passkeys.of_employee(tx, *of) and issuer not in linked:
        raise LastWayIn
