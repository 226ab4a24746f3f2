"""Create what a new installation needs first: an organization, a business, its owner, and a token for the website."""

from dataclasses import dataclass

from sqlalchemy import Connection

from shopbell.accounts import invitations, roles, sign_in
from shopbell.accounts.roles import OWNER, Roles
from shopbell.accounts.sign_in import LastWayIn
from shopbell.db import installation
from shopbell.events.actors import SYSTEM
from shopbell.organizations import api_tokens, employees, organizations
from shopbell.organizations.api_tokens import Token
from shopbell.organizations.business_fields import BusinessChanges
from shopbell.organizations.employees import Employee
from shopbell.organizations.organizations import Business, Organization
from shopbell.security.keys import Keys

TOKEN_NAME = "website"  # noqa: S105 - the name of a token
TOKEN_SCOPES = ("threads:read", "threads:write", "webhooks:manage", "widget:send")
"""What the guide to the API uses."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be there.

    Args:
        business: of the organization; at least its name.
        owner: the email address of an owner, in normal form.
    """

    organization: str
    business: BusinessChanges
    owner: str


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What is there now.

    Args:
        created: what did not exist before: ``organization``, ``business``, ``owner`` or ``token``.
        secret: the secret of a new token; None for one that existed, because it is stored nowhere.
        invitation: the token of the link with which the owner signs in first; None if they can sign in already.
    """

    organization: Organization
    business: Business
    owner: Employee
    token: Token
    created: frozenset[str]
    secret: str | None
    invitation: str | None


def ensure(tx: Connection, keys: Keys, wanted: Wanted, *, issuer: str | None, now_ms: int) -> FirstSteps:
    """Create what is missing, so that a second call finds what the first one has created.

    Names identify the organization, its business and its token; the address identifies the owner.

    Args:
        issuer: the OpenID Connect provider of this installation, if there is one.

    Raises:
        CommandError: a name is not valid, or the secret key does not belong to the database.
        WrongValues: a field of the business is not valid.
    """
    installation.adopt_key(tx, keys)
    installation.lock(tx)
    created = set()
    actor = SYSTEM.name
    organization = next((each for each in organizations.find_all(tx) if each.name == wanted.organization), None)
    if organization is None:
        organization = organizations.create(tx, wanted.organization, actor=actor, now_ms=now_ms)
        created.add("organization")
    of = organization.id
    there = (each for each in organizations.find_businesses(tx, of) if each.active)
    business = next((each for each in there if each.name == wanted.business["name"]), None)
    if business is None:
        business = organizations.create_business(tx, of, wanted.business, actor=SYSTEM, now_ms=now_ms)
        created.add("business")
    owner = employees.find_by_email(tx, of, wanted.owner)
    if owner is None:
        name = wanted.owner.partition("@")[0]
        owner = employees.create(tx, of, name, wanted.owner, actor=actor, now_ms=now_ms)
        created.add("owner")
    roles.change(tx, of, owner.id, Roles(OWNER), by=None, actor=actor, now_ms=now_ms)
    token, secret = _find_token(tx, of, now_ms), None
    if token is None:
        hashing = keys.derive(api_tokens.KEY_PURPOSE)
        token, secret = api_tokens.create(tx, hashing, of, TOKEN_NAME, TOKEN_SCOPES, None, actor=actor, now_ms=now_ms)
        created.add("token")
    invitation = None
    if not _can_sign_in(tx, owner, issuer):
        hashing = keys.derive(invitations.KEY_PURPOSE)
        valid_ms = invitations.PRINTED_MS
        invitation = invitations.create(tx, hashing, of, owner.id, valid_ms=valid_ms, actor=actor, now_ms=now_ms)
    return FirstSteps(organization, business, owner, token, frozenset(created), secret, invitation)


def _find_token(tx: Connection, organization_id: int, now_ms: int) -> Token | None:
    named = (each for each in api_tokens.find_all(tx, organization_id) if each.name == TOKEN_NAME)
    return next((each for each in named if each.is_valid(now_ms)), None)


def _can_sign_in(tx: Connection, employee: Employee, issuer: str | None) -> bool:
    try:
        sign_in.check_way_in(tx, employee.organization_id, employee.id, issuer)
    except LastWayIn:
        return False
    return True
