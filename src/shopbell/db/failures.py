"""Turn database errors into messages for operators, without secrets."""

import re

from shopbell.errors import StorageError

# SQLSTATE classes (and codes) whose messages are about the server, the session or the disk. Messages of other classes
# may quote a value of the statement.
_ABOUT_THE_SERVER = ("08", "25", "28", "3D", "40", "53", "54", "55", "57", "58", "XX001", "XX002")
# Text that may be an email address, part of a URL with a password, or a phone number.
_PRIVATE = re.compile(r"\S*@\S*|\+?\d[\d ()-]{5,}\d")
_LONGEST = 200


class PoolerError(StorageError):
    """The database URL goes through a connection pooler and no direct URL is set."""

    def __init__(self) -> None:
        super().__init__(
            "SHOPBELL_DATABASE_URL goes through a connection pooler such as PgBouncer; also set "
            "SHOPBELL_DATABASE_DIRECT_URL to the address of PostgreSQL itself"
        )


def storage_failure(error: BaseException) -> StorageError:
    """Describe a failure of the database.

    Args:
        error: an error of the driver or of the operating system.

    Returns:
        An error with the type of ``error`` and, if it is safe, its message. It contains no password, no customer's
        address and no value of a statement.
    """
    kind, reason = type(error).__name__, _reason(error)
    if isinstance(error, OSError) and reason:  # the message is enough; it contains a file name at most
        return StorageError(f"the database failed ({reason})")
    return StorageError(f"the database failed ({kind}: {reason})" if reason else f"the database failed ({kind})")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        return str(error)
    # An isinstance check would import PostgreSQL's driver, which slows down commands on SQLite.
    state = getattr(error, "sqlstate", None)
    if state is not None and not state.startswith(_ABOUT_THE_SERVER):
        return ""
    said = error.diag.message_primary if state is not None and hasattr(error, "diag") else str(error)
    first, *_ = (said or "").strip().splitlines() or [""]
    first, _, _ = first.partition(" (Background on this error")  # SQLAlchemy appends a link
    reason = _PRIVATE.sub("…", first)
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
