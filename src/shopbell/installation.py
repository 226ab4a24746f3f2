"""Facts about this installation that its database keeps."""

import hmac

from sqlalchemy import Connection, insert, select, update

from shopbell.errors import CommandError
from shopbell.keys import Keys
from shopbell.storage.schema import installation

_SECRET_KEY = "secret_key"  # noqa: S105 - the name of the fact, not a key


def fits(tx: Connection, keys: Keys) -> bool:
    """Whether the secret key, or the old one, is the one that this database was made with."""
    kept = _fingerprint(tx)
    return kept is None or any(hmac.compare_digest(kept, ours) for ours in _fingerprints(keys))


def adopt(tx: Connection, keys: Keys) -> None:
    """Remember the secret key's fingerprint on first use, and the new one's when the key is changed.

    Raises:
        CommandError: the database was made with another key, under which no token of it would be found.
    """
    if not fits(tx, keys):
        raise CommandError(
            "the secret key is not the one that this database was made with; set SHOPBELL_SECRET_KEY to that one, "
            "or SHOPBELL_SECRET_KEY_OLD while changing it"
        )
    kept, ours = _fingerprint(tx), _fingerprints(keys)[0]
    if kept is None:
        tx.execute(insert(installation).values(name=_SECRET_KEY, value=ours))
    elif kept != ours:
        tx.execute(update(installation).where(installation.c.name == _SECRET_KEY).values(value=ours))


def _fingerprint(tx: Connection) -> str | None:
    return tx.execute(select(installation.c.value).where(installation.c.name == _SECRET_KEY)).scalar_one_or_none()


def _fingerprints(keys: Keys) -> tuple[str, ...]:
    return tuple(key.hex() for key in keys.derive("fingerprint"))
