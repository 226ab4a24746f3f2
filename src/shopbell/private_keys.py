"""Private keys: with one an organization's backend vouches for who its customers are. Owns their table, and the nonces.

A backend proves that it has the key by a digest of a nonce and a customer (``POST /api/authenticate-customer``), or by
signing an identity token with it (``identity_tokens.py``).
"""

import hashlib
import hmac

from sqlalchemy import Connection, delete, insert, select, update

from shopbell.events import upsert
from shopbell.sealing import Seals
from shopbell.security import new_token, token_hash
from shopbell.storage.customer_schema import private_keys, used_nonces

SEALING_PURPOSE = "private key"
"""For ``Seals``: what private keys are kept under."""

PREFIX = "sb_private_"
ALGORITHMS = ("sha1", "hmac-sha256")


def find(tx: Connection, organization_id: int, seals: Seals) -> str | None:
    """An organization's private key; None where it was never asked for.

    Raises:
        SettingsError: it was sealed with another secret key than this installation has.
    """
    c = private_keys.c
    sealed = tx.scalar(select(c.sealed_key).where(c.organization_id == organization_id))
    return None if sealed is None else seals.open(sealed)


def find_or_make(tx: Connection, organization_id: int, seals: Seals, *, now_ms: int) -> tuple[str, bool]:
    """An organization's private key, and whether it was made just now.

    Raises:
        SettingsError: as for ``find``.
    """
    new = new_token(PREFIX)
    row = {"organization_id": organization_id, "sealed_key": seals.seal(new), "created_at_ms": now_ms}
    # Of an insert that may do nothing not every driver counts the rows.
    insertion = upsert(tx, private_keys).values(row).on_conflict_do_nothing()
    made = tx.execute(insertion.returning(private_keys.c.organization_id)).first() is not None
    return (new, True) if made else (find(tx, organization_id, seals) or new, False)


def rotate(tx: Connection, organization_id: int, seals: Seals, *, now_ms: int) -> str:
    """Give an organization a new private key; the old one is good for nothing at once, and its nonces are forgotten."""
    n, k = used_nonces.c, private_keys.c
    tx.execute(delete(private_keys).where(k.organization_id == organization_id))
    tx.execute(delete(used_nonces).where(n.organization_id == organization_id))
    new = new_token(PREFIX)
    tx.execute(
        insert(private_keys).values(organization_id=organization_id, sealed_key=seals.seal(new), created_at_ms=now_ms)
    )
    return new


def reseal(tx: Connection, seals: Seals) -> None:
    """Seal all keys under the present secret key, so that the former one can be forgotten.

    Raises:
        SettingsError: one was sealed with neither.
    """
    c = private_keys.c
    for row in tx.execute(select(private_keys).order_by(c.organization_id).with_for_update()):
        anew = seals.seal(seals.open(row.sealed_key))
        tx.execute(update(private_keys).where(c.organization_id == row.organization_id).values(sealed_key=anew))


def digest(private_key: str, nonce: str, customer_id: str, algorithm: str) -> str:
    """What a backend computes to vouch for a customer.

    Args:
        private_key: the organization's.
        nonce: as the backend chose it.
        customer_id: e-mail address, phone number or id, as the app sends it.
        algorithm: ``sha1``: of key, nonce and customer, one after the other, for what is compatible with nothing else;
            or ``hmac-sha256``: of nonce, colon and customer, under the key.

    Returns:
        Hexadecimal digits in lower case.
    """
    if algorithm == "sha1":
        return hashlib.sha1(f"{private_key}{nonce}{customer_id}".encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(private_key.encode(), f"{nonce}:{customer_id}".encode(), "sha256").hex()


def is_right(private_key: str, nonce: str, customer_id: str, algorithm: str, given: str) -> bool:
    """Whether a digest is the one that this backend computes; how long it takes tells nothing of the right one."""
    right = digest(private_key, nonce, customer_id, algorithm)
    return hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))


def spend(tx: Connection, organization_id: int, private_key: str, nonce: str, given: str, *, now_ms: int) -> bool:
    """Use up a nonce, and the digest that came with it.

    The digest, too: SHA-1's says nothing of where the nonce ends and the customer begins, so the same one fits another
    pair of them.

    Args:
        tx: the transaction.
        organization_id: whose nonces.
        private_key: the one that the digest is right by.
        nonce: as the app sent it.
        given: the digest.
        now_ms: the time in Unix ms.

    Returns:
        Whether both were new.
    """
    # Keyed by what goes with them: whoever changes the installation's secret must not make old ones good again.
    key = private_key.encode()
    hashes = sorted((token_hash(key, f"nonce {nonce}"), token_hash(key, f"digest {given}")))
    new = [{"organization_id": organization_id, "nonce_hash": each, "used_at_ms": now_ms} for each in hashes]
    insertion = upsert(tx, used_nonces).values(new).on_conflict_do_nothing()
    return len(tx.execute(insertion.returning(used_nonces.c.nonce_hash)).all()) == len(new)
