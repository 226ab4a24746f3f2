"""The address of a database, as settings and commands name it."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVER = "postgresql+psycopg"
# libpq and most hosting providers use the short name, too.
_POSTGRESQL = ("postgresql", "postgres", _DRIVER)


def parse_database_url(text: str) -> URL:
    """Read the address of a database.

    Args:
        text: ``sqlite:///path``, ``postgresql://user:password@host/name`` or ``postgres://…``.

    Returns:
        The address with the driver that Shopbell uses.

    Raises:
        ValueError: it is not one; the text holds nothing of it, because that may be a piece of a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("must look like sqlite:////absolute/path or postgresql://user@host/name") from None
    kind = url.drivername.lower()
    if kind != "sqlite" and "@" in f"{url.host}{url.database}":
        # Else a piece of the password would be taken for a host, and be shown in errors.
        raise ValueError("must have '@', ':' and '/' of a password written as %40, %3A and %2F")
    if kind in _POSTGRESQL:
        return url.set(drivername=_DRIVER)
    if kind != "sqlite":
        raise ValueError("must begin with sqlite: or postgresql:")
    if (url.database or ":memory:") == ":memory:":
        raise ValueError("must name a file: what is kept in memory is lost")
    return url.set(drivername=kind)
