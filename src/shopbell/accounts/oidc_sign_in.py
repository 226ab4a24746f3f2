"""Find the employee for an identity of an OpenID Connect provider.

No employee is ever created. An identity is linked when an employee adds it to their account, or accepts an invitation
with it. An employee is also recognized by their address at their first sign-in, if all of these conditions hold:

- The operator has listed the domain, because the provider manages its addresses. Otherwise, anyone could register at
  the provider with another person's address.
- The provider has verified the address.
- Across all organizations, exactly one active employee with a role has the address.
- The employee has no identity at this provider yet. Otherwise, a new owner of the address would get their account.
- The employee has no passkey and no authenticator app. An address must not replace them.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from shopbell.accounts import invitations, oidc_identities, sign_in
from shopbell.accounts.id_tokens import Claims
from shopbell.accounts.oidc_identities import IdentityRefused
from shopbell.accounts.sign_in import Account
from shopbell.db.schema.core import employees
from shopbell.formats import names


def find_account(tx: Connection, issuer: str, claims: Claims, domains: frozenset[str], *, now_ms: int) -> Account:
    """The account of the person who signs in, linked now if it is their first time.

    Args:
        domains: those whose addresses the provider manages.

    Raises:
        IdentityRefused: there is none.
    """
    identity = oidc_identities.find(tx, issuer, claims.subject)
    if identity is None:
        account = _recognize(tx, claims, domains)
        of = (account.organization_id, account.employee_id)
        oidc_identities.link(tx, *of, issuer, claims, now_ms=now_ms)
        return account
    found = sign_in.find(tx, identity.organization_id, identity.employee_id)
    if found is None:
        raise IdentityRefused("its employee is deactivated or has no role")
    oidc_identities.note_use(tx, identity, now_ms=now_ms)
    return found


def accept_invitation(
    tx: Connection, keys: Sequence[bytes], token: str, issuer: str, claims: Claims, *, now_ms: int
) -> Account:
    """The account that an invitation gives to a person; it gets the name that the provider says.

    Args:
        keys: the keys derived for ``invitations.KEY_PURPOSE``.
        token: as sent; any text.

    Raises:
        IdentityRefused: the invitation or the identity cannot be used. The transaction must not be committed.
    """
    invitation = invitations.find(tx, keys, token, now_ms=now_ms)
    if invitation is None or not invitations.accept(tx, invitation, name=_name(claims), now_ms=now_ms):
        raise IdentityRefused("the invitation has expired or was used")
    of = (invitation.organization_id, invitation.employee_id)
    oidc_identities.link(tx, *of, issuer, claims, now_ms=now_ms)
    account = sign_in.find(tx, *of)
    if account is None:
        raise IdentityRefused("its employee is deactivated or has no role")
    return account


def _name(claims: Claims) -> str | None:
    try:
        return names.line(claims.name or "")
    except ValueError:
        return None


def _recognize(tx: Connection, claims: Claims, domains: frozenset[str]) -> Account:
    email = claims.email
    if email is None or not claims.is_email_verified or email.rpartition("@")[2] not in domains:
        raise IdentityRefused("it is not linked, and has no verified address in SHOPBELL_OIDC_ALLOWED_DOMAINS")
    e = employees.c
    rows = tx.execute(
        select(e.organization_id, e.id)  # in any organization
        .where(e.email == email, e.deactivated_at_ms.is_(None))
        .order_by(e.id)
    )
    found = [account for row in rows if (account := sign_in.find(tx, row.organization_id, row.id)) is not None]
    if len(found) != 1:
        raise IdentityRefused(f"it is not linked, and {len(found)} employees with a role have its address")
    (account,) = found
    if account.has_passkey or account.has_totp:
        raise IdentityRefused(
            "it is not linked, and the employee with its address has a second factor: they must link it themselves"
        )
    return account
