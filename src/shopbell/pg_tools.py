"""PostgreSQL's own programs, ``pg_dump`` and ``pg_restore``, which backups of PostgreSQL are made of."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shopbell.errors import CommandError

_VERSION = re.compile(rb"\(PostgreSQL\) ([0-9]+)\S*")
_ERROR = re.compile(r"^pg_\w+: error: .*", re.MULTILINE)


def version_of(program: str) -> int:
    """The major version of a program in ``PATH``.

    Raises:
        CommandError: it is not there.
    """
    path = shutil.which(program)
    match = path and _VERSION.search(subprocess.run([path, "--version"], capture_output=True, check=False).stdout)
    if not match:
        raise CommandError(f"{program} is not in PATH; install PostgreSQL's client programs (postgresql-client)")
    return int(match[1])


def run(program: str, conninfo: str, server_version: int, arguments: Sequence[str]) -> None:
    """Run a program on a database.

    Args:
        program: ``pg_dump`` or ``pg_restore``.
        conninfo: the database's, in libpq's form.
        server_version: the server's major version; an older program is refused.
        arguments: what it is to do.

    Raises:
        CommandError: it is missing, older than the server, or failed.
    """
    version = version_of(program)
    if version < server_version:
        raise CommandError(
            f"{program} is of version {version}, the server of {server_version}; "
            f"install PostgreSQL's client programs of version {server_version} or later"
        )
    # A password among the arguments would be seen by every user of the machine.
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    password = parts.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    command = [str(shutil.which(program)), "--no-password", f"--dbname={make_conninfo('', **parts)}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        # Only what failed: the lines after it may quote rows.
        failed = _ERROR.search(done.stderr)
        raise CommandError(failed[0] if failed else f"{program} failed with exit code {done.returncode}")
