"""Parse database URLs from settings and commands."""

import re
from collections.abc import Sequence

from pydantic import AfterValidator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from shopbell.settings.extras import require_extra

_DRIVER = "postgresql+psycopg"
# libpq and most hosting providers also use the short names.
_POSTGRESQL = ("postgresql", "postgres", _DRIVER)
_PORT = "5432"
# libpq's form with several hosts, which SQLAlchemy does not parse: postgresql://user@db1:5432,db2:5432/name
_SEVERAL_HOSTS = re.compile(
    r"(postgres[^:]*://(?:[^:/]*(?::[^@]*)?@)?+)([^/?@]*,[^/?@]*)((?:[/?].*)?)", re.IGNORECASE | re.DOTALL
)
_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]+))?")
_WRITABLE = "read-write"


def parse_database_url(text: str) -> URL:
    """Parse a database URL.

    Args:
        text: ``sqlite:///path``, ``postgresql://user:password@host/name`` or ``postgres://…``; PostgreSQL may have
            several hosts: ``postgresql://user@host1:5432,host2:5432/name``.

    Returns:
        The URL with the driver that Shopbell uses. Several hosts are in its query, and only the one that accepts writes
        is used.

    Raises:
        ValueError: the URL is invalid, or its driver is not installed. The message never quotes the URL, because it may
            contain a password.
    """
    several = _SEVERAL_HOSTS.fullmatch(text)
    try:
        url = make_url(f"{several[1]}{several[3]}" if several else text)
    except (ArgumentError, ValueError):
        raise ValueError("must look like sqlite:////absolute/path or postgresql://user@host/name") from None
    kind = url.drivername.lower()
    if kind != "sqlite" and "@" in f"{url.host}{url.database}":
        # The parser would otherwise treat part of the password as the host, and errors would show it.
        raise ValueError("has '@', ':' or '/' in its password; write them as %40, %3A and %2F")
    if kind in _POSTGRESQL:
        require_extra("postgres")
        hosts = several[2] if several else ",".join(url.normalized_query.get("host", ()))
        url = url.set(drivername=_DRIVER)
        return _with_hosts(url, hosts.split(",")) if "," in hosts else url
    if kind != "sqlite":
        raise ValueError("must start with sqlite: or postgresql:")
    if (url.database or ":memory:") == ":memory:":
        raise ValueError("must name a file; an in-memory database loses its data when the process ends")
    return url.set(drivername=kind)


def _with_hosts(url: URL, hosts: Sequence[str]) -> URL:
    """Put several hosts into a URL, in the form that SQLAlchemy and libpq understand."""
    found = [_HOST.fullmatch(host) for host in hosts]
    names = [match[1] or match[2] for match in found if match]
    if len(names) < len(hosts):
        raise ValueError("must look like postgresql://user@host1:5432,host2:5432/name")
    if url.query.get("target_session_attrs", _WRITABLE) not in (_WRITABLE, "primary"):
        raise ValueError("must not have another target_session_attrs than read-write: Shopbell writes")
    ports = url.normalized_query.get("port") or [match[3] or _PORT for match in found if match]
    chosen = {"target_session_attrs": _WRITABLE, **url.query}
    return url.set(query={**chosen, "host": ",".join(names), "port": ",".join(ports)})


def _check(value: str | None) -> str | None:
    if value is not None:
        parse_database_url(value)
    return value


IS_DATABASE_URL = AfterValidator(_check)
