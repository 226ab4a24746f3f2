"""Private keys, with which an organization's backend proves who its customers are. Owns their table and the nonces.

The backend uses the key for a digest of a nonce and a customer (``POST /api/authenticate-customer``), or to sign an
identity token (``customers/identity_tokens.py``).
"""

import hashlib
import hmac

from sqlalchemy import Connection, delete, insert, select, update

from shopbell.db.schema.customers import private_keys, used_nonces
from shopbell.events import audit
from shopbell.events.record import upsert
from shopbell.security.encryption import Cipher
from shopbell.security.tokens import new_token, token_hash

SEALING_PURPOSE = "private key"
"""For ``Cipher``: private keys are stored encrypted."""

PREFIX = "sb_private_"
ALGORITHMS = ("sha1", "hmac-sha256")


def find(tx: Connection, organization_id: int, cipher: Cipher) -> str | None:
    """An organization's private key, or None if it was never created.

    Raises:
        SettingsError: it was encrypted with a secret key that this installation does not have.
    """
    c = private_keys.c
    sealed = tx.scalar(select(c.sealed_key).where(c.organization_id == organization_id))
    return None if sealed is None else cipher.open(sealed)


def show(tx: Connection, organization_id: int, cipher: Cipher, *, actor: str, now_ms: int) -> str:
    """Return an organization's private key for an operator to read. The first call creates the key.

    Raises:
        SettingsError: as for ``find``.
    """
    new = new_token(PREFIX)
    row = {"organization_id": organization_id, "sealed_key": cipher.encrypt(new), "created_at_ms": now_ms}
    # Not every driver counts the rows of an insert that may do nothing.
    insertion = upsert(tx, private_keys).values(row).on_conflict_do_nothing()
    is_new = tx.execute(insertion.returning(private_keys.c.organization_id)).first() is not None
    _audit(tx, organization_id, "create" if is_new else "show", actor=actor, now_ms=now_ms)
    return new if is_new else (find(tx, organization_id, cipher) or new)


def rotate(tx: Connection, organization_id: int, cipher: Cipher, *, actor: str, now_ms: int) -> str:
    """Replace an organization's private key. The old key is invalid at once, and its nonces are deleted."""
    n, k = used_nonces.c, private_keys.c
    tx.execute(delete(private_keys).where(k.organization_id == organization_id))
    tx.execute(delete(used_nonces).where(n.organization_id == organization_id))
    new = new_token(PREFIX)
    tx.execute(
        insert(private_keys).values(
            organization_id=organization_id, sealed_key=cipher.encrypt(new), created_at_ms=now_ms
        )
    )
    _audit(tx, organization_id, "rotate", actor=actor, now_ms=now_ms)
    return new


def _audit(tx: Connection, organization_id: int, verb: str, *, actor: str, now_ms: int) -> None:
    subject = f"organization {organization_id}"
    audit.record(tx, organization_id, actor, f"private-key.{verb}", subject, now_ms=now_ms)


def reseal(tx: Connection, cipher: Cipher) -> None:
    """Encrypt all keys with the current secret key, so that the old one can be removed from the settings.

    Raises:
        SettingsError: a key was encrypted with neither.
    """
    c = private_keys.c
    for row in tx.execute(select(private_keys).order_by(c.organization_id).with_for_update()):
        encrypted = cipher.encrypt(cipher.open(row.sealed_key))
        tx.execute(update(private_keys).where(c.organization_id == row.organization_id).values(sealed_key=encrypted))


def digest(private_key: str, nonce: str, customer_id: str, algorithm: str) -> str:
    """Compute the digest with which a backend proves who a customer is.

    Args:
        private_key: that of the organization.
        nonce: chosen by the backend.
        customer_id: email address, phone number or id, as the app sends it.
        algorithm: ``sha1`` of key, nonce and customer, for older apps; or ``hmac-sha256`` of nonce, colon and customer
            with the key.

    Returns:
        Hexadecimal digits in lower case.
    """
    if algorithm == "sha1":
        return hashlib.sha1(f"{private_key}{nonce}{customer_id}".encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(private_key.encode(), f"{nonce}:{customer_id}".encode(), "sha256").hex()


def is_right(private_key: str, nonce: str, customer_id: str, algorithm: str, given: str) -> bool:
    """Whether a digest is right, compared in constant time."""
    right = digest(private_key, nonce, customer_id, algorithm)
    return hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))


def consume(tx: Connection, organization_id: int, private_key: str, nonce: str, given: str, *, now_ms: int) -> bool:
    """Mark a nonce and its digest as used, so that neither is accepted again.

    The digest too: with SHA-1, which has no separator, one digest fits several pairs of nonce and customer.

    Args:
        private_key: the key of the digest.
        nonce: as the app sent it.
        given: the digest.

    Returns:
        Whether both were unused.
    """
    # Hashed with the private key: after a change of the secret key, used nonces must stay used.
    key = private_key.encode()
    hashes = sorted((token_hash(key, f"nonce {nonce}"), token_hash(key, f"digest {given}")))
    new = [{"organization_id": organization_id, "nonce_hash": each, "used_at_ms": now_ms} for each in hashes]
    insertion = upsert(tx, used_nonces).values(new).on_conflict_do_nothing()
    return len(tx.execute(insertion.returning(used_nonces.c.nonce_hash)).all()) == len(new)
