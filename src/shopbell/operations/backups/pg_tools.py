"""Dump and restore a PostgreSQL database with ``pg_dump`` and ``pg_restore``."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, text

from shopbell.db.failures import storage_failure
from shopbell.db.pooler import Session, check_session, connect_session
from shopbell.db.postgres import PostgresDatabase
from shopbell.errors import CommandError

_VERSION = re.compile(rb"\(PostgreSQL\) ([0-9]+)\S*")
_COPY = re.compile(rb'COPY (?:[^ ]+\.)?"?(\w+)"? \(')
_END_OF_ROWS = b"\\.\n"
_SNAPSHOT = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",  # it waits for pg_dump
)
_ERROR = re.compile(r"^pg_\w+: error: .*", re.MULTILINE)


def version_of(program: str) -> int:
    """Return the major version of a program in ``PATH``.

    Raises:
        CommandError: the program is not in ``PATH``.
    """
    path = shutil.which(program)
    match = path and _VERSION.search(subprocess.run([path, "--version"], capture_output=True, check=False).stdout)
    if not match:
        raise CommandError(f"{program} is not in PATH; install PostgreSQL's client programs (postgresql-client)")
    return int(match[1])


def dump(database: PostgresDatabase, file: Path, counted: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Write a snapshot of a database to a file.

    Args:
        counted: tables whose rows are counted in the same snapshot.

    Returns:
        The server's version, and the numbers of rows.

    Raises:
        CommandError: the program is missing, older than the server, or failed.
        StorageError: the database failed.
    """
    version = database.read_now(_server_version)
    try:
        with connect_session(database) as session, session.transaction():
            for statement in _SNAPSHOT:
                session.execute(statement)
            name = _value(session, "SELECT pg_export_snapshot()")
            rows = {table: int(_value(session, f"SELECT count(*) FROM {table}")) for table in counted}
            _run("pg_dump", database, version, ["--format=custom", f"--snapshot={name}", f"--file={file}"])
    except psycopg.OperationalError as error:
        raise storage_failure(error) from None
    return version, rows


def count_rows(file: Path, tables: Sequence[str]) -> dict[str, int]:
    """Read a dump, and count the rows of some tables in it.

    Raises:
        CommandError: the program is missing, or cannot read the dump.
    """
    version_of("pg_restore")
    program = str(shutil.which("pg_restore"))
    listed = subprocess.run(
        [program, "--list", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if listed.returncode != 0:
        raise CommandError("pg_restore cannot read the backup")
    command = [program, "--data-only", "--file=-", *(f"--table={table}" for table in tables), str(file)]
    rows, copying = dict.fromkeys(tables, 0), ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reading:
        for line in cast("IO[bytes]", reading.stdout):
            if copying:
                if line == _END_OF_ROWS:
                    copying = ""
                else:
                    rows[copying] += 1
            elif match := _COPY.match(line):
                copying = match[1].decode()
    if reading.returncode != 0 or copying:
        raise CommandError("pg_restore cannot read the backup")
    return rows


def restore(database: PostgresDatabase, file: Path) -> None:
    """Replace a database with a dump.

    Raises:
        CommandError: the program is missing, older than the server, or failed; the data is unchanged.
        StorageError: the database failed.
    """
    version = database.read_now(_server_version)
    database.engine.dispose()
    arguments = ["--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    _run("pg_restore", database, version, [*arguments, str(file)])


def _value(session: Session, query: str) -> str:
    row = session.execute(query).fetchone()
    assert row is not None  # noqa: S101 - the query always returns a row
    return str(row[0])


def _server_version(tx: Connection) -> str:
    return str(tx.execute(text("SHOW server_version")).scalar_one()).split()[0]


def _run(program: str, database: PostgresDatabase, version_of_server: str, arguments: Sequence[str]) -> None:
    check_session(database)
    server_version = int(version_of_server.partition(".")[0])
    version = version_of(program)
    if version < server_version:
        raise CommandError(
            f"{program} has version {version}, but the server has version {server_version}; "
            f"install PostgreSQL's client programs of version {server_version} or later"
        )
    # All users of the machine can see arguments, so the password goes into the environment.
    parts = {name: str(value) for name, value in conninfo_to_dict(database.conninfo).items() if value is not None}
    password = parts.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    command = [str(shutil.which(program)), "--no-password", f"--dbname={make_conninfo('', **parts)}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        # Only the error line: the lines after it may quote rows.
        failed = _ERROR.search(done.stderr)
        raise CommandError(failed[0] if failed else f"{program} failed with exit code {done.returncode}")
