"""What an operator is told when a database fails: the driver's words, without anything that is secret."""

import re

from shopbell.errors import StorageError

# Classes of SQLSTATE (and codes) whose messages are about the server, the session or the disk. Those of other classes
# may quote a value of the statement.
_ABOUT_THE_SERVER = ("08", "25", "28", "3D", "40", "53", "54", "55", "57", "58", "XX001", "XX002")
# What may be an e-mail address, a piece of a URL with a password, or a phone number.
_PRIVATE = re.compile(r"\S*@\S*|\+?\d[\d ()-]{5,}\d")
_LONGEST = 200


def storage_failure(error: BaseException) -> StorageError:
    """Describe a failure of the database.

    Args:
        error: the driver's or the system's.

    Returns:
        An error that names its kind and, where that is safe, its reason. It contains no password, no address of a
        customer and no value of a statement.
    """
    kind, reason = type(error).__name__, _reason(error)
    if isinstance(error, OSError) and reason:  # says it all, and names a file at most
        return StorageError(f"the database failed ({reason})")
    return StorageError(f"the database failed ({kind}: {reason})" if reason else f"the database failed ({kind})")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        return str(error)
    # Not by type: SQLite's users need not wait until PostgreSQL's driver is imported.
    state = getattr(error, "sqlstate", None)
    if state is not None and not state.startswith(_ABOUT_THE_SERVER):
        return ""
    said = error.diag.message_primary if state is not None and hasattr(error, "diag") else str(error)
    first, *_ = (said or "").strip().splitlines() or [""]
    first, _, _ = first.partition(" (Background on this error")  # where SQLAlchemy explains it
    reason = _PRIVATE.sub("…", first)
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
