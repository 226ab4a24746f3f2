"""Facts about this installation that its database keeps."""

import hmac
from enum import Enum

from sqlalchemy import Connection, delete, select, text, update

from shopbell.clock import TOLERANCE_MS
from shopbell.errors import CommandError
from shopbell.keys import Keys
from shopbell.storage.schema import installation

_SECRET_KEY = "secret_key"  # noqa: S105 - the name of the fact, not a key
# In both engines' words: SQLAlchemy's are each for one engine.
_REMEMBER = text("INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
_HELD_BACK = "deliveries_held_back"
_SET_BACK = "clock_set_back_at_ms"
HOLD_BACK = (
    "INSERT INTO installation (name, value) VALUES ('deliveries_held_back', :why) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
"""What ``hold_back`` does, in SQL."""


class Held(Enum):
    """Why nothing is delivered: what waits here may have been, or may be being, delivered from elsewhere."""

    RESTORED = "restored"
    MOVED = "moved"


def fits(tx: Connection, keys: Keys) -> bool:
    """Whether the secret key, or the old one, is the one that this database was made with."""
    kept = _fingerprint(tx)
    return kept is None or any(hmac.compare_digest(kept, ours) for ours in _fingerprints(keys))


def adopt(tx: Connection, keys: Keys) -> None:
    """Remember the secret key's fingerprint on first use, and the new one's when the key is changed.

    Raises:
        CommandError: the database was made with another key, under which no token of it would be found.
    """
    ours = _fingerprints(keys)[0]
    if _fingerprint(tx) is None:
        # Of two first starts at once the second waits here for the first, and then compares with what that one left.
        tx.execute(_REMEMBER, {"name": _SECRET_KEY, "value": ours})
    if not fits(tx, keys):
        raise CommandError(
            "the secret key is not the one that this database was made with; set SHOPBELL_SECRET_KEY to that one, "
            "or SHOPBELL_SECRET_KEY_OLD while changing it"
        )
    if _fingerprint(tx) != ours:
        tx.execute(update(installation).where(installation.c.name == _SECRET_KEY).values(value=ours))


def hold_back(tx: Connection, why: Held) -> None:
    """Let no worker deliver anything until ``resume``; no worker may run meanwhile."""
    tx.execute(text(HOLD_BACK), {"why": why.value})


def held_back(tx: Connection) -> Held | None:
    """Why nothing is delivered; None when deliveries are made."""
    why = tx.execute(select(installation.c.value).where(installation.c.name == _HELD_BACK)).scalar_one_or_none()
    return None if why is None else Held(why)


def resume(tx: Connection) -> bool:
    """Let workers deliver again; whether anything was held back."""
    return tx.execute(delete(installation).where(installation.c.name == _HELD_BACK)).rowcount == 1


def note_set_back(tx: Connection, what: str, *, since_ms: int, now_ms: int) -> bool:
    """Note that a process acts on a clock that was set back, so that others do not.

    Args:
        tx: the transaction.
        what: whose due times it corrects, such as ``dispatches``.
        since_ms: when the clock was set back at the earliest, by the clock as it is now, in Unix ms.
        now_ms: the time in Unix ms, by the same clock.

    Returns:
        Whether no other process has acted since then.
    """
    c, name = installation.c, f"{_SET_BACK}:{what}"
    # The row must exist to be locked: of two processes, the second one waits for what the first one writes.
    tx.execute(_REMEMBER, {"name": name, "value": "0"})
    noted_ms = int(tx.execute(select(c.value).where(c.name == name).with_for_update()).scalar_one())
    if since_ms - TOLERANCE_MS <= noted_ms <= now_ms + TOLERANCE_MS:
        return False
    tx.execute(update(installation).where(c.name == name).values(value=str(now_ms)))
    return True


def _fingerprint(tx: Connection) -> str | None:
    return tx.execute(select(installation.c.value).where(installation.c.name == _SECRET_KEY)).scalar_one_or_none()


def _fingerprints(keys: Keys) -> tuple[str, ...]:
    return tuple(key.hex() for key in keys.derive("fingerprint"))
