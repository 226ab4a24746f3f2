"""What ``shopbell doctor`` checks of PostgreSQL's replicas."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, text

from shopbell.db.failures import storage_failure
from shopbell.db.postgres import PostgresDatabase
from shopbell.operations.doctor.findings import Finding, Level, ok

_REPLICAS = """
SELECT application_name AS name, state, sync_state,
  pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::bigint AS behind_bytes
FROM pg_stat_replication
WHERE state IS DISTINCT FROM 'backup'
ORDER BY application_name, pid
"""
# FIRST 2 (a, b), ANY 1 (a, b), 1 (a, b); a list without a number means one.
_NUMBER = re.compile(r"(?:FIRST\s+|ANY\s+)?([0-9]+)\s*\(", re.IGNORECASE)
_NO_PRIMARY = "no server accepts writes: every message is refused"


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica that is connected to the primary; all but the name is None if the database user may not see it."""

    name: str
    state: str | None
    sync_state: str | None
    behind_bytes: int | None


def examine_replicas(database: PostgresDatabase) -> list[Finding]:
    """Check the servers that the database URL names, and whether commits wait for a replica.

    Raises:
        StorageError: the database is not reachable.
    """
    servers = _servers(database.conninfo)
    findings = list(judge_servers({name: _role(conninfo) for name, conninfo in servers.items()}))
    if database.read_now(_is_replica):
        detail = f"the database URL leads to a replica; {_NO_PRIMARY}"
        return [*findings, Finding(Level.ERROR, "replica", detail, "name the primary in SHOPBELL_DATABASE_URL")]
    return [*findings, judge_replicas(*database.read_now(_replication), is_expected=bool(findings))]


def judge_servers(roles: dict[str, str]) -> Iterator[Finding]:
    """Judge the roles of the servers in a URL with several hosts; one host alone needs no judgement.

    Args:
        roles: ``primary``, ``replica`` or an error's message, by host and port.
    """
    if len(roles) == 1:
        return
    primaries = [server for server, role in roles.items() if role == "primary"]
    for server, role in roles.items():
        if role not in ("primary", "replica"):
            yield Finding(Level.WARNING, "database server", f"{server}: {role}", "repair it, and make it a replica")
        elif len(primaries) > 1 and role == "primary":
            remedy = "stop the one that was replaced, and make it a replica with pg_rewind or pg_basebackup"
            yield Finding(Level.ERROR, "database server", f"{server}: primary, but not the only one", remedy)
        else:
            yield ok("database server", f"{server}: {role}")


def judge_replicas(synchronous_names: str, replicas: Sequence[Replica], *, is_expected: bool) -> Finding:
    """Judge whether a commit waits until it is on a replica's disk.

    Args:
        synchronous_names: PostgreSQL's setting ``synchronous_standby_names``.
        replicas: those that are connected.
        is_expected: whether the database URL has several hosts.
    """
    needed = _needed(synchronous_names)
    if not replicas and not needed:
        if not is_expected:
            return ok("replica", "none")
        return Finding(Level.WARNING, "replica", "none is connected", "create one: docs/growth.md describes it")
    if any(replica.state is None for replica in replicas):
        remedy = "run as a superuser: GRANT pg_monitor TO … (the user in SHOPBELL_DATABASE_URL)"
        return Finding(Level.WARNING, "replica", "the database user may not see the state of replicas", remedy)
    shown = ", ".join(
        f"{replica.name} ({replica.state}, {replica.sync_state}, {replica.behind_bytes or 0} bytes behind)"
        for replica in replicas
    )
    if not needed:
        detail = f"commits do not wait for {shown}: a failover can lose messages that were confirmed"
        remedy = "set synchronous_standby_names = 'ANY 1 (*)' in the primary's postgresql.conf, and reload it"
        return Finding(Level.WARNING, "replica", detail, remedy)
    waited_for = [each for each in replicas if each.state == "streaming" and each.sync_state in ("sync", "quorum")]
    if len(waited_for) < needed:
        detail = f"commits wait for {needed}, and {len(waited_for)} can confirm them: every message is refused"
        remedy = (
            "start the replica; or, to continue without a second copy, set synchronous_standby_names = '' in the "
            "primary's postgresql.conf, and reload it"
        )
        return Finding(Level.ERROR, "replica", detail, remedy)
    return ok("replica", f"commits wait for {needed} of {shown}")


def _needed(synchronous_names: str) -> int:
    """How many replicas a commit waits for."""
    match = _NUMBER.match(synchronous_names.strip())
    return int(match[1]) if match else int(bool(synchronous_names.strip()))


def _servers(conninfo: str) -> dict[str, str]:
    """The connection strings of the servers that one connection string names, by host and port."""
    parts = conninfo_to_dict(conninfo)
    hosts, ports = (str(parts.get(name) or "").split(",") for name in ("host", "port"))
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return {
        f"{host}, port {port}": make_conninfo(conninfo, host=host, port=port, target_session_attrs="any")
        for host, port in zip(hosts, ports, strict=True)
    }


def _role(conninfo: str) -> str:
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    except psycopg.OperationalError as error:
        return str(storage_failure(error))
    return "replica" if row == (True,) else "primary"


def _is_replica(tx: Connection) -> bool:
    return bool(tx.execute(text("SELECT pg_is_in_recovery()")).scalar_one())


def _replication(tx: Connection) -> tuple[str, list[Replica]]:
    names = str(tx.execute(text("SHOW synchronous_standby_names")).scalar_one())
    return names, [Replica(**row) for row in tx.execute(text(_REPLICAS)).mappings()]
