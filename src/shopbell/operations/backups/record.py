"""Store in the database which backups were made, and which process makes the next one."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from shopbell.db import installation as facts
from shopbell.db.lease import Lease
from shopbell.runtime.clock import TOLERANCE_MS

LEASE = Lease("backup_lease", for_ms=5 * 60 * 1000)
"""The right to make the daily backup. It lasts so long after the last sign of life of its process."""
RETRY_MS = 10 * 60 * 1000
"""How long after a failure the next attempt is."""

_SERIES = "backup_series"
_LAST = "backup_last"
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Last:
    """The last complete backup.

    Args:
        taken_at_ms: the time of its data in Unix ms.
        duration_ms: how long it took to write and verify it.
    """

    taken_at_ms: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Series:
    """The backups of one database: their names have its random id, so that no other database deletes them."""

    id: str

    def name(self, taken_at_ms: int) -> str:
        """The name of the backup of a time in Unix ms."""
        return f"shopbell-{self.id}-{datetime.fromtimestamp(taken_at_ms / 1000, UTC):{_STAMP}}.tar"

    def taken(self, name: str) -> datetime | None:
        """The time of the backup with this name; None if it is not one of these backups."""
        try:
            at = datetime.strptime(name, f"shopbell-{self.id}-{_STAMP}.tar").replace(tzinfo=UTC)
        except ValueError:
            return None
        return at if self.name(round(at.timestamp() * 1000)) == name else None


def series(tx: Connection) -> Series:
    """Return the series of this database; create it on first use."""
    return Series(facts.remember(tx, _SERIES, secrets.token_hex(4)))


def last(tx: Connection) -> Last | None:
    """Return the last complete backup in a place; None if there is none."""
    stored = facts.find_fact(tx, _LAST)
    return None if stored is None else Last(*map(int, stored.split()))


def note(tx: Connection, made: Last) -> None:
    """Note a complete backup."""
    facts.store_fact(tx, _LAST, f"{made.taken_at_ms} {made.duration_ms}")


def is_due(made: Last | None, at: time, *, now_ms: int) -> bool:
    """Whether the last backup is older than the last time of day at which one was due.

    A backup in the future was made before the clock was set back, and does not count.

    Args:
        at: the time of day in UTC.
        now_ms: current time in Unix ms.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    due = datetime.combine(now.date(), at, UTC)
    due -= timedelta(days=1 if due > now else 0)
    return made is None or not due.timestamp() * 1000 <= made.taken_at_ms <= now_ms + TOLERANCE_MS


def claim(tx: Connection, owner: str, at: time, *, now_ms: int) -> bool:
    """Take the lease if the backup is due; return whether this process must make it.

    Args:
        owner: of the lease.
        at: the time of day in UTC.
        now_ms: current time in Unix ms.
    """
    if not LEASE.take(tx, owner, now_ms=now_ms):
        return False
    if is_due(last(tx), at, now_ms=now_ms):
        return True
    LEASE.release(tx, owner)  # another process has made it
    return False
