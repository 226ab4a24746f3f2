"""A server imports only what it uses.

Each library that it does not need would take memory in each process.
"""

import subprocess
import sys
from pathlib import Path

import pytest

UNUSED = {
    "aiosmtpd",  # incoming email
    "aiosmtplib",  # email
    "alembic",  # migrations
    "argon2",  # passwords of employees
    "cryptography",  # secrets in the database
    "graphql",
    "jinja2",  # pages and emails
    "joserfc",  # identity tokens
    "nats",
    "nh3",  # incoming email
    "obstore",  # attachments
    "opentelemetry.exporter",  # traces
    "opentelemetry.sdk",  # traces
    "psycopg",  # PostgreSQL
    "pyotp",  # the second factor of employees
    "regex",  # texts that are cut
    "rich",  # tables
    "segno",  # the second factor of employees
    "tnefparse",  # incoming email
    "webauthn",  # passkeys of employees
}
"""Libraries that a server on SQLite with default settings does not need before it is used."""

PROGRAM = """
import sys
from shopbell.cli import registry
registry.load("serve")
import shopbell.app
import shopbell.operations.backups.job  # runs in a server, too
print(sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


def imported(*names: str) -> str:
    """Which of these modules a server imports, as printed."""
    command = [sys.executable, "-c", PROGRAM, *names]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_server_imports_no_library_that_it_does_not_use() -> None:
    assert imported(*UNUSED) == "[]"


def test_a_server_that_creates_its_database_does_not_import_pygments(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from shopbell.db.migrate import migrate
from shopbell.db.sqlite import SqliteDatabase
migrate(SqliteDatabase(Path(sys.argv[1])))
print(sorted({"alembic", "mako", "pygments"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "new.db")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "['alembic', 'mako']"


@pytest.mark.parametrize("name", ["fastapi", "sqlalchemy", "structlog", "phonenumbers"])
def test_a_library_that_it_uses_is_noticed(name: str) -> None:
    assert imported(name) == f"['{name}']"
