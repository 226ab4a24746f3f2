"""Check that backups are made."""

from collections.abc import Iterator

from sqlalchemy import Connection

from shopbell.errors import CommandError, SettingsError
from shopbell.operations.backups import record
from shopbell.operations.backups.targets import open_target
from shopbell.operations.doctor.findings import Finding, Level, ok
from shopbell.settings.backups import parse_place
from shopbell.settings.settings import Settings

_HOUR_MS = 60 * 60 * 1000
DAILY_MAX_MS = 36 * _HOUR_MS
"""The greatest age of the last backup of a server that makes one each day."""
OTHERS_MAX_MS = 8 * 24 * _HOUR_MS
"""The greatest age of the last backup that a timer has made."""

_NAME = "backups"


def check_place(settings: Settings) -> Iterator[Finding]:
    """Check that files can be stored in the place of the daily backups, if there is one."""
    if not settings.backup_to:
        return
    try:
        open_target(settings, parse_place(settings.backup_to)).check()
    except (CommandError, SettingsError, OSError) as error:
        detail, _, remedy = str(error).partition("; ")
        yield Finding(Level.ERROR, _NAME, detail, remedy or "let the user of the server write to SHOPBELL_BACKUP_TO")


def check_age(tx: Connection, settings: Settings, now_ms: int) -> Finding:
    """Check that the last backup is not too old."""
    last = record.last(tx)
    if last is None and settings.backup_to:
        remedy = "start `shopbell serve`, wait a few minutes, and look into its log"
        return Finding(Level.WARNING, _NAME, "no backup has been made yet", remedy)
    if last is None:
        remedy = "set SHOPBELL_BACKUP_TO, or let a timer run `shopbell backup --to`"
        return Finding(Level.WARNING, _NAME, "none is made in regular intervals", remedy)
    age_hours = (now_ms - last.taken_at_ms) // _HOUR_MS
    detail = f"the last one was made {age_hours} hours ago"
    if now_ms - last.taken_at_ms <= (DAILY_MAX_MS if settings.backup_to else OTHERS_MAX_MS):
        return ok(_NAME, detail)
    return Finding(Level.ERROR, _NAME, detail, "search the log for `backup failed`, or run `shopbell backup`")
