"""Dump and restore a PostgreSQL database with ``pg_dump`` and ``pg_restore``."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
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
_NO_TIMEOUTS = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",  # the transaction waits for PostgreSQL's program
)
_SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", *_NO_TIMEOUTS)
_ERROR = re.compile(r"^pg_\w+: error: .*", re.MULTILINE)
_ROWS_AT_ONCE = 1_000
_FOR_PSQL = re.compile(rb"\\(?:un)?restrict \w+\n")
"""What a script contains for psql only."""
_NEW_SETTING = b"SET transaction_timeout = 0;\n"
"""What pg_restore of this version and later writes into every script, although older servers do not know it."""
_NEW_SETTING_SINCE = 17


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
            arguments = ["--format=custom", f"--snapshot={name}", f"--file={file}"]
            command, environment = _command("pg_dump", database, version, arguments)
            with tempfile.TemporaryFile() as errors:
                done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors, check=False)
                if done.returncode != 0:
                    raise _failure("pg_dump", done.returncode, errors)
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


def restore(database: PostgresDatabase, file: Path, then: str) -> None:
    """Replace a database with a dump and run a statement, in one transaction.

    Args:
        then: an SQL statement that changes the restored data.

    Raises:
        CommandError: the program is missing, older than the server, or failed, or PostgreSQL refuses the dump; the data
            is unchanged.
        StorageError: the database failed.
    """
    version = database.read_now(_server_version)
    database.engine.dispose()
    check_session(database)
    # pg_restore itself could not run another statement in its transaction. psql could, but it would also obey
    # commands such as `\!` in a manipulated dump.
    arguments = ["--clean", "--if-exists", "--exit-on-error", "--no-owner", "--no-privileges", "--file=-", str(file)]
    command = [_path("pg_restore", version), *arguments]
    try:
        with (
            connect_session(database) as session,
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as reading,
            session.transaction(),
        ):
            for statement in _NO_TIMEOUTS:
                session.execute(statement)
            _run_script(session, iter(cast("IO[bytes]", reading.stdout)), _major(version))
            if reading.wait() != 0:
                raise _failure("pg_restore", reading.returncode, errors)
            session.execute("RESET search_path")  # the script sets an empty one
            session.execute(then.encode())
    except psycopg.OperationalError as error:
        raise storage_failure(error) from None
    except psycopg.Error as error:
        # Only the first line: others may quote rows.
        reason = error.diag.message_primary or type(error).__name__
        raise CommandError(f"PostgreSQL refuses the backup: {reason}") from None


def _run_script(session: Session, lines: Iterator[bytes], server_version: int) -> None:
    statements: list[bytes] = []
    for line in lines:
        if _COPY.match(line):
            session.execute(b"".join(statements))
            statements.clear()
            rows = takewhile(lambda row: row != _END_OF_ROWS, lines)
            with session.cursor() as cursor, cursor.copy(line) as copy:
                while piece := b"".join(islice(rows, _ROWS_AT_ONCE)):
                    copy.write(piece)
        elif _is_for_server(line, server_version):
            statements.append(line)
    session.execute(b"".join(statements))


def _is_for_server(line: bytes, server_version: int) -> bool:
    """Whether a server of this version knows a line of a script."""
    is_unknown_setting = line == _NEW_SETTING and server_version < _NEW_SETTING_SINCE
    return not is_unknown_setting and not _FOR_PSQL.fullmatch(line)


def _value(session: Session, query: str) -> str:
    row = session.execute(query).fetchone()
    assert row is not None  # noqa: S101 - the query always returns a row
    return str(row[0])


def _server_version(tx: Connection) -> str:
    return str(tx.execute(text("SHOW server_version")).scalar_one()).split()[0]


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _path(program: str, version_of_server: str) -> str:
    """The path of a program that is at least as new as the server."""
    version, server_version = version_of(program), _major(version_of_server)
    if version < server_version:
        raise CommandError(
            f"{program} has version {version}, but the server has version {server_version}; "
            f"install PostgreSQL's client programs of version {server_version} or later"
        )
    return str(shutil.which(program))


def _command(
    program: str, database: PostgresDatabase, version_of_server: str, arguments: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The command that runs a program on a database, and its environment."""
    check_session(database)
    path = _path(program, version_of_server)
    # All users of the machine can see arguments, so the password goes into the environment.
    parts = {name: str(value) for name, value in conninfo_to_dict(database.conninfo).items() if value is not None}
    password = parts.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    return [path, "--no-password", f"--dbname={make_conninfo('', **parts)}", *arguments], environment


def _failure(program: str, code: int, errors: IO[bytes]) -> CommandError:
    errors.seek(0)
    # Only the error line: the lines after it may quote rows.
    failed = _ERROR.search(errors.read().decode(errors="replace"))
    return CommandError(failed[0] if failed else f"{program} failed with exit code {code}")
