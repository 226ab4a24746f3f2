"""Store facts about this installation in its database."""

import hmac
from enum import Enum

from sqlalchemy import Connection, delete, select, text, update

from shopbell.db.schema.core import installation
from shopbell.errors import CommandError
from shopbell.runtime.clock import TOLERANCE_MS, now_ms
from shopbell.security.keys import Keys

_SECRET_KEY = "secret_key"  # noqa: S105 - the name of a row, not a key
# Plain SQL that both engines accept: SQLAlchemy's ON CONFLICT differs per engine.
_REMEMBER = text("INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
_DELIVERIES_PAUSED = "deliveries_held_back"
_CLOCK_CORRECTION = "clock_set_back_at_ms"
PAUSE_DELIVERIES_SQL = (
    "INSERT INTO installation (name, value) VALUES ('deliveries_held_back', :pause) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
"""The SQL of ``pause_deliveries``; its parameter is the result of ``describe_pause``."""


class PauseReason(Enum):
    """Why deliveries are paused: another installation may deliver, or have delivered, the same events."""

    RESTORED = "restored"
    MOVED = "moved"


def key_matches(tx: Connection, keys: Keys) -> bool:
    """Whether the secret key, or the old one, belongs to this database."""
    kept = _fingerprint(tx)
    return kept is None or any(hmac.compare_digest(kept, ours) for ours in _fingerprints(keys))


def adopt_key(tx: Connection, keys: Keys) -> None:
    """Store the fingerprint of the secret key on first use and after a key change.

    Raises:
        CommandError: the database belongs to another key. With this key, no token would match.
    """
    ours = _fingerprints(keys)[0]
    if _fingerprint(tx) is None:
        # If two processes start for the first time, the second one waits here and then compares with the first one's.
        tx.execute(_REMEMBER, {"name": _SECRET_KEY, "value": ours})
    if not key_matches(tx, keys):
        raise CommandError(
            "the secret key does not belong to this database; set SHOPBELL_SECRET_KEY to the database's key, or "
            "SHOPBELL_SECRET_KEY_OLD if you are changing it"
        )
    if _fingerprint(tx) != ours:
        tx.execute(update(installation).where(installation.c.name == _SECRET_KEY).values(value=ours))


def lock(tx: Connection) -> None:
    """Let one transaction at a time set up this installation. Call ``adopt_key`` first."""
    tx.execute(select(installation.c.value).where(installation.c.name == _SECRET_KEY).with_for_update())


def find_fact(tx: Connection, name: str) -> str | None:
    """Return what is stored under a name; None if nothing is."""
    return tx.execute(select(installation.c.value).where(installation.c.name == name)).scalar_one_or_none()


def remember(tx: Connection, name: str, value: str) -> str:
    """Store a value permanently unless the name has one; return the stored one."""
    tx.execute(_REMEMBER, {"name": name, "value": value})
    return find_fact(tx, name) or value


def store_fact(tx: Connection, name: str, value: str) -> None:
    """Store a value, whether or not the name has one."""
    if remember(tx, name, value) != value:
        replace_fact(tx, name, value)


def lock_fact(tx: Connection, name: str, value: str) -> str:
    """Like ``remember``; other transactions that lock the same fact wait until this one ends."""
    # The row must exist before it can be locked: the second of two processes then waits for the first one.
    tx.execute(_REMEMBER, {"name": name, "value": value})
    c = installation.c
    stored: str = tx.execute(select(c.value).where(c.name == name).with_for_update()).scalar_one()
    return stored


def replace_fact(tx: Connection, name: str, value: str) -> None:
    """Replace a stored value."""
    tx.execute(update(installation).where(installation.c.name == name).values(value=value))


def describe_pause(reason: PauseReason) -> str:
    """A pause that begins now, as it is stored: reason and time in Unix ms."""
    return f"{reason.value} {now_ms()}"


def pause_deliveries(tx: Connection, reason: PauseReason) -> None:
    """Pause all deliveries until ``resume_deliveries``. No worker may run during this call."""
    tx.execute(text(PAUSE_DELIVERIES_SQL), {"pause": describe_pause(reason)})


def pause_reason(tx: Connection) -> PauseReason | None:
    """Return why deliveries are paused; None if they are not."""
    stored = _pause(tx)
    return None if stored is None else PauseReason(stored.partition(" ")[0])


def paused_since_ms(tx: Connection) -> int | None:
    """Return when the pause of deliveries began, in Unix ms; None if there is none."""
    stored = _pause(tx)
    return None if stored is None else int(stored.partition(" ")[2] or 0)


def _pause(tx: Connection) -> str | None:
    return find_fact(tx, _DELIVERIES_PAUSED)


def resume_deliveries(tx: Connection) -> bool:
    """Resume deliveries; return whether they were paused."""
    return tx.execute(delete(installation).where(installation.c.name == _DELIVERIES_PAUSED)).rowcount == 1


def claim_clock_correction(tx: Connection, what: str, *, since_ms: int, now_ms: int) -> bool:
    """Claim the correction of due times after the clock was set back.

    Args:
        what: the table whose due times this process corrects, such as ``outbound_messages``.
        since_ms: earliest time at which the clock was set back, in Unix ms of the clock as it is now.
        now_ms: current time in Unix ms of the same clock.

    Returns:
        Whether this process must correct them: no other process has done so since ``since_ms``.
    """
    name = f"{_CLOCK_CORRECTION}:{what}"
    noted_ms = int(lock_fact(tx, name, "0"))
    if since_ms - TOLERANCE_MS <= noted_ms <= now_ms + TOLERANCE_MS:
        return False
    replace_fact(tx, name, str(now_ms))
    return True


def _fingerprint(tx: Connection) -> str | None:
    return find_fact(tx, _SECRET_KEY)


def _fingerprints(keys: Keys) -> tuple[str, ...]:
    return tuple(key.hex() for key in keys.derive("fingerprint"))
