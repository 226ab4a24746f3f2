"""Choose between organizations in which a person has the same credentials.

The page sends back an encrypted proof that the password was given a moment ago.
"""

import json
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Connection

from shopbell.accounts import sign_in
from shopbell.accounts.sign_in import Account
from shopbell.errors import SettingsError
from shopbell.security.encryption import Cipher

PURPOSE = "organization choice"
VALID_MS = 5 * 60 * 1_000
"""How long a person may take to choose."""


def seal(cipher: Cipher, accounts: Sequence[Account], *, now_ms: int) -> str:
    """Return the proof that the password of these accounts was given.

    Args:
        cipher: for ``PURPOSE``.
    """
    ids = [(account.organization_id, account.employee_id, _fingerprint(account)) for account in accounts]
    return cipher.encrypt(json.dumps({"until_ms": now_ms + VALID_MS, "accounts": ids}))


def find(tx: Connection, cipher: Cipher, proof: str, organization_id: int, *, now_ms: int) -> Account | None:
    """Return the account that a person has chosen.

    None if the proof is invalid or too old, if it has no account in that organization, or if the account or its
    password has changed since.
    """
    try:
        proved = json.loads(cipher.open(proof if proof.isascii() else ""))
    except SettingsError:
        return None
    if now_ms >= proved["until_ms"]:
        return None
    for its_organization_id, employee_id, fingerprint in proved["accounts"]:
        if its_organization_id == organization_id:
            account = sign_in.find(tx, organization_id, employee_id)
            return account if account is not None and _fingerprint(account) == fingerprint else None
    return None


def _fingerprint(account: Account) -> str:
    return sha256((account.password_hash or "").encode()).hexdigest()
