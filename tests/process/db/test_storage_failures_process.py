"""A missing database is reported with the reason."""

from pathlib import Path

from sqlalchemy import make_url

from harness.installation import PLENTY, SECRET_KEY, Database, Installation
from harness.ports import free_port
from harness.postgres import Postgres

PASSWORD = "canary-password"


def failed(folder: Path, url: str) -> str:
    """What a command says with this address of the database."""
    settings = {**PLENTY, "SHOPBELL_SECRET_KEY": SECRET_KEY}
    done = Installation(Database(url), folder, settings).run("token", "list")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "canary" not in line
    return line


def test_a_missing_database_is_reported_with_the_reason(own_postgres: Postgres, tmp_path: Path) -> None:
    url = make_url(own_postgres.url()).set(database="nothing")
    port = free_port()
    unreachable = failed(tmp_path, url.set(port=port, password=PASSWORD).render_as_string(hide_password=False))
    assert unreachable.startswith("shopbell: the database failed (OperationalError: ")
    assert f"port {port} failed: Connection refused" in unreachable
    refused = failed(tmp_path, url.set(password=PASSWORD).render_as_string(hide_password=False))
    assert 'password authentication failed for user "postgres"' in refused
    assert 'database "nothing" does not exist' in failed(tmp_path, url.render_as_string(hide_password=False))
