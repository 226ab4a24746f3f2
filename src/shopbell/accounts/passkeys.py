"""Passkeys of employees (WebAuthn Level 3). Owns their tables.

A passkey is always verified by the device of the employee (fingerprint, face or PIN), so it is two factors in one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell.db.ids import take_id
from shopbell.db.schema.accounts import passkey_challenges, passkeys
from shopbell.db.schema.core import employees
from shopbell.errors import Conflict, NotFound, RequestError
from shopbell.events import audit
from shopbell.security.tokens import token_hash

CHALLENGE_MS = 5 * 60 * 1_000
NAME_MAX_CHARACTERS = 60
_PER_EMPLOYEE_MAX = 20
_CREDENTIAL_ID = re.compile(r"[A-Za-z0-9_-]+")  # base64url
_CHALLENGE_KEY = b""  # challenges are random and public: the hash only shortens them


class PasskeyRefused(RequestError):
    """400: the browser's response does not prove the passkey. Which part failed is not said."""

    def __init__(self) -> None:
        super().__init__("The passkey was not accepted. Try again, or sign in another way.")


class TooManyPasskeys(Conflict):
    """409: an employee has as many passkeys as are allowed."""

    def __init__(self) -> None:
        super().__init__(f"You have {_PER_EMPLOYEE_MAX} passkeys. Remove one first.")


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as it is stored. Times are Unix ms."""

    organization_id: int
    id: int
    employee_id: int
    credential_id: str = field(repr=False)
    public_key: str = field(repr=False)
    sign_count: int
    name: str
    created_at_ms: int
    last_used_at_ms: int | None


def of_employee(tx: Connection, organization_id: int, employee_id: int) -> list[Passkey]:
    """The passkeys of an employee, the oldest first."""
    c = passkeys.c
    query = select(passkeys).where(c.organization_id == organization_id, c.employee_id == employee_id).order_by(c.id)
    return [Passkey(**row) for row in tx.execute(query).mappings()]


def begin_registration(
    tx: Connection, origin: str, organization_id: int, employee_id: int, *, name: str, now_ms: int
) -> dict[str, Any]:
    """Options for ``navigator.credentials.create``, as ``parseCreationOptionsFromJSON`` reads them.

    Args:
        origin: scheme, host and port of the pages, such as ``https://chat.example.com``.
        name: what the device shows: the name or the address of the employee.

    Raises:
        TooManyPasskeys: 409.
    """
    known = of_employee(tx, organization_id, employee_id)
    if len(known) >= _PER_EMPLOYEE_MAX:
        raise TooManyPasskeys
    challenge, options = _ceremonies().registration_options(
        origin, f"{organization_id}.{employee_id}", name, [key.credential_id for key in known]
    )
    _keep_challenge(tx, challenge, now_ms=now_ms)
    return options  # type: ignore[no-any-return]  # of a module imported late


def register(
    tx: Connection,
    origin: str,
    organization_id: int,
    employee_id: int,
    credential: Mapping[str, Any],
    *,
    name: str,
    now_ms: int,
) -> Passkey:
    """Store a passkey that a browser has made.

    Args:
        credential: the browser's ``credential.toJSON()``, unchecked.
        name: of the device.

    Raises:
        PasskeyRefused: 400.
        TooManyPasskeys: 409.
    """
    ceremonies = _ceremonies()
    if len(of_employee(tx, organization_id, employee_id)) >= _PER_EMPLOYEE_MAX:
        raise TooManyPasskeys
    try:
        challenge = _use_challenge(tx, credential, now_ms=now_ms)
        credential_id, public_key, count = ceremonies.verify_registration(origin, credential, challenge)
    except ceremonies.REFUSED:
        raise PasskeyRefused from None
    passkey = Passkey(
        organization_id=organization_id,
        id=take_id(tx),
        employee_id=employee_id,
        credential_id=credential_id,
        public_key=public_key,
        sign_count=count,
        name=name[:NAME_MAX_CHARACTERS],
        created_at_ms=now_ms,
        last_used_at_ms=None,
    )
    try:
        tx.execute(insert(passkeys).values({column: getattr(passkey, column) for column in Passkey.__slots__}))
    except IntegrityError:
        raise PasskeyRefused from None
    _audit(tx, passkey, "create", now_ms=now_ms)
    return passkey


def begin_authentication(tx: Connection, origin: str, *, now_ms: int) -> dict[str, Any]:
    """Options for ``navigator.credentials.get``: any passkey of this site, for an account not named yet."""
    challenge, options = _ceremonies().authentication_options(origin)
    _keep_challenge(tx, challenge, now_ms=now_ms)
    return options  # type: ignore[no-any-return]  # of a module imported late


def authenticate(tx: Connection, origin: str, credential: Mapping[str, Any], *, now_ms: int) -> Passkey:
    """Check a browser's response, and return the passkey that it proves.

    Args:
        credential: the browser's ``credential.toJSON()``, unchecked.

    Raises:
        PasskeyRefused: 400; also if the counter of the passkey went back, which a copied one would do, and if its
            employee is deactivated.
    """
    ceremonies = _ceremonies()
    try:
        challenge = _use_challenge(tx, credential, now_ms=now_ms)
        credential_id = credential["id"]
        # PostgreSQL accepts no U+0000 in a parameter.
        if not isinstance(credential_id, str) or not _CREDENTIAL_ID.fullmatch(credential_id):
            raise PasskeyRefused
        passkey = _by_credential(tx, credential_id)
        if passkey is None:
            raise PasskeyRefused
        count = ceremonies.verify_authentication(origin, credential, challenge, passkey.public_key, passkey.sign_count)
    except ceremonies.REFUSED:
        raise PasskeyRefused from None
    c = passkeys.c
    tx.execute(
        update(passkeys)
        .where(c.organization_id == passkey.organization_id, c.id == passkey.id)
        .values(sign_count=count, last_used_at_ms=now_ms)
    )
    return passkey


def remove(tx: Connection, organization_id: int, employee_id: int, passkey_id: int, *, now_ms: int) -> None:
    """Remove a passkey of an employee.

    Raises:
        NotFound: 404.
    """
    passkey = next((key for key in of_employee(tx, organization_id, employee_id) if key.id == passkey_id), None)
    if passkey is None:
        raise NotFound("passkeyId")
    c = passkeys.c
    tx.execute(delete(passkeys).where(c.organization_id == organization_id, c.id == passkey_id))
    _audit(tx, passkey, "remove", now_ms=now_ms)


def remove_all(tx: Connection, organization_id: int, employee_id: int, *, actor: str, now_ms: int) -> None:
    """Remove all passkeys of an employee, if there are any.

    Args:
        actor: who removes them, as the audit log names them.
    """
    c = passkeys.c
    gone = tx.execute(delete(passkeys).where(c.organization_id == organization_id, c.employee_id == employee_id))
    if gone.rowcount:
        audit.record(tx, organization_id, actor, "passkey.remove-all", f"employee {employee_id}", now_ms=now_ms)


def forget_old_challenges(tx: Connection, now_ms: int) -> int:
    """Delete challenges that have expired; returns how many."""
    return tx.execute(delete(passkey_challenges).where(passkey_challenges.c.expires_at_ms <= now_ms)).rowcount


def _by_credential(tx: Connection, credential_id: str) -> Passkey | None:
    c, e = passkeys.c, employees.c
    query = (
        select(passkeys)  # the credential determines the organization
        .join(employees, (e.organization_id == c.organization_id) & (e.id == c.employee_id))
        .where(c.credential_id == credential_id, e.deactivated_at_ms.is_(None))
        .with_for_update()
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else Passkey(**row)


def _keep_challenge(tx: Connection, challenge: bytes, *, now_ms: int) -> None:
    tx.execute(
        insert(passkey_challenges).values(challenge_hash=_hash_of(challenge), expires_at_ms=now_ms + CHALLENGE_MS)
    )


def _use_challenge(tx: Connection, credential: Mapping[str, Any], *, now_ms: int) -> bytes:
    """The challenge that a response answers. It can be used once, and only if this installation gave it out."""
    challenge: bytes = _ceremonies().challenge_of(credential)
    c = passkey_challenges.c
    used = tx.execute(
        delete(passkey_challenges).where(c.challenge_hash == _hash_of(challenge), c.expires_at_ms > now_ms)
    )
    if used.rowcount == 0:
        raise PasskeyRefused
    return challenge


def _hash_of(challenge: bytes) -> str:
    return token_hash(_CHALLENGE_KEY, challenge.hex())


def _ceremonies() -> ModuleType:
    # Imported on first use: it needs 14 MB, and many installations have no passkeys.
    from shopbell.accounts import webauthn_ceremonies

    return webauthn_ceremonies


def _audit(tx: Connection, passkey: Passkey, verb: str, *, now_ms: int) -> None:
    actor = f"employee {passkey.employee_id}"
    audit.record(tx, passkey.organization_id, actor, f"passkey.{verb}", f"passkey {passkey.id}", now_ms=now_ms)
