"""Times on the command line."""

from datetime import UTC, datetime, timedelta

import typer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unix_ms(text: str) -> int:
    """A time in ISO 8601 as Unix ms; without a time zone it is UTC.

    Raises:
        BadParameter: the text is not such a time.
    """
    try:
        at = datetime.fromisoformat(text)
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise typer.BadParameter("must be ISO 8601, such as 2030-12-31 or 2030-12-31T18:00+01:00") from None
