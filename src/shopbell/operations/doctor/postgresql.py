"""What ``shopbell doctor`` checks on PostgreSQL only."""

from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from shopbell.db.pooler import check_session, leads_through_pooler
from shopbell.db.postgres import PostgresDatabase
from shopbell.errors import CommandError
from shopbell.operations.backups import pg_tools
from shopbell.operations.doctor.findings import CLOCK_TOLERANCE_MS, Finding, Level, ok
from shopbell.operations.doctor.replicas import examine_replicas

OLDEST = 14


def examine_server(database: PostgresDatabase) -> list[Finding]:
    """Check the connection, the version and the durability of the server, and its replicas.

    Raises:
        CommandError: a connection pooler is in the way; the message says what to do.
        StorageError: the database is not reachable.
    """
    durability = database.read_now(lambda tx: list(_durability(tx)))
    return [_pooler(database), *durability, *examine_replicas(database)]


def _pooler(database: PostgresDatabase) -> Finding:
    check_session(database)
    is_there = database.read_now(leads_through_pooler)
    if is_there:
        detail = (
            "SHOPBELL_DATABASE_URL goes through one; SHOPBELL_DATABASE_DIRECT_URL bypasses it and reaches the same "
            "database"
        )
    else:
        detail = "none" + (", although SHOPBELL_DATABASE_DIRECT_URL is set" if database.is_pooled else "")
    return ok("connection pooler", detail)


def _durability(tx: Connection) -> Iterator[Finding]:
    version, number = tx.execute(text("SHOW server_version")).scalar(), _server_major(tx)
    if number >= OLDEST:
        yield ok("PostgreSQL", f"server {version}")
    else:
        yield Finding(Level.WARNING, "PostgreSQL", f"server {version} is not tested", f"use {OLDEST} or later")
    yield _pg_tools(number)
    wrong = {
        "fsync": "a power failure loses commits and may corrupt the data",
        "full_page_writes": "a torn page after a power failure corrupts the data",
        "synchronous_commit": "the response comes before the commit is on the disk",
    }
    for setting, what in wrong.items():
        value = tx.execute(text(f"SHOW {setting}")).scalar()
        if value == "off":
            yield Finding(
                Level.ERROR, "durability", f"{setting} = off: {what}", f"set {setting} = on in postgresql.conf"
            )
        else:
            yield ok("durability", f"{setting} = {value}")
    behind_ms = tx.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one()
    yield _clock_difference(int(behind_ms), int(datetime.now(UTC).timestamp() * 1000))


def _server_major(tx: Connection) -> int:
    return int(tx.execute(text("SHOW server_version_num")).scalar_one()) // 10_000


def _pg_tools(server_version: int) -> Finding:
    try:
        version = pg_tools.version_of("pg_dump")
    except CommandError as error:
        return Finding(Level.WARNING, "pg_dump", "not found: `shopbell backup` does not work", str(error))
    if version >= server_version:
        return ok("pg_dump", f"version {version}")
    remedy = f"install PostgreSQL's client programs of version {server_version} or later, and put them first in PATH"
    return Finding(
        Level.WARNING, "pg_dump", f"version {version} cannot back up a server of version {server_version}", remedy
    )


def _clock_difference(theirs_ms: int, ours_ms: int) -> Finding:
    difference_ms = theirs_ms - ours_ms
    if abs(difference_ms) <= CLOCK_TOLERANCE_MS:
        return ok("database's clock", f"{difference_ms} ms from this machine's")
    detail = f"{difference_ms / 1000:.0f} s from this machine's"
    return Finding(Level.WARNING, "database's clock", detail, "synchronize the clocks of both machines with NTP")
