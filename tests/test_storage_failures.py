"""A failure of the database says its reason, and nothing that is secret."""

from pathlib import Path

import psycopg
import pytest
from psycopg.pq import DiagnosticField
from sqlalchemy import make_url

from harness.installation import PLENTY, SECRET_KEY, Database, Installation
from harness.ports import free_port
from harness.postgres import Postgres
from harness.shop import Shop
from harness.world import World
from shopbell.storage.failures import storage_failure

only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
PASSWORD = "canary-password"


def failed(folder: Path, url: str) -> str:
    """What a command says with this address of the database."""
    settings = {**PLENTY, "SHOPBELL_SECRET_KEY": SECRET_KEY}
    done = Installation(Database(url), folder, settings).run("token", "list")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "canary" not in line
    return line


def test_a_database_that_is_not_there_is_named_with_the_reason(own_postgres: Postgres, tmp_path: Path) -> None:
    url = make_url(own_postgres.url()).set(database="nothing")
    port = free_port()
    unreachable = failed(tmp_path, url.set(port=port, password=PASSWORD).render_as_string(hide_password=False))
    assert unreachable.startswith("shopbell: the database failed (OperationalError: ")
    assert f"port {port} failed: Connection refused" in unreachable
    refused = failed(tmp_path, url.set(password=PASSWORD).render_as_string(hide_password=False))
    assert 'password authentication failed for user "postgres"' in refused
    assert 'database "nothing" does not exist' in failed(tmp_path, url.render_as_string(hide_password=False))


@pytest.mark.parametrize("password", ["a@canary", "a@canary:1", "a@canary/1"])
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(password: str, tmp_path: Path) -> None:
    line = failed(tmp_path, f"postgresql://shop:{password}@127.0.0.1/shop")
    assert line.startswith("shopbell: SHOPBELL_DATABASE_URL: must ")


def test_a_file_that_is_no_database_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "shopbell.db").write_bytes(b"canary" * 1_000)
    line = failed(tmp_path, f"sqlite:///{tmp_path / 'shopbell.db'}")
    assert line == "shopbell: the database failed (DatabaseError: file is not a database)"


@only_postgresql
def test_what_a_statement_carries_is_not_in_the_reason(installation: Installation, people: World) -> None:
    installation.database.change(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no place for %', NEW.body; END $$"
    )
    trigger = "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse()"
    installation.database.change(trigger)
    with installation.serving() as server:
        shop = Shop(server, people)
        answer = shop.post(shop.body(message="a canary of a text"))
        assert answer.status_code in (500, 503)
        assert "canary" not in server.log
        assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("could not translate host name “ss@canary”", "could not translate host name …"),
        ("no mail to carol@example.com", "no mail to …"),
        ("no call to +1 (617) 555-0100 now", "no call to … now"),
        (
            "connection to server at “127.0.0.1”, port 54321 failed",
            "connection to server at “127.0.0.1”, port 54321 failed",
        ),
        ("one\nDETAIL: two", "one"),
        ("", ""),
    ],
)
def test_an_address_or_a_number_is_left_out_of_the_reason(text: str, shown: str) -> None:
    expected = f"the database failed (OperationalError: {shown})" if shown else "the database failed (OperationalError)"
    assert str(storage_failure(psycopg.OperationalError(text))) == expected


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (psycopg.errors.DiskFull, "the database failed (DiskFull: canary)"),
        (psycopg.errors.RaiseException, "the database failed (RaiseException)"),
        (psycopg.errors.InvalidTextRepresentation, "the database failed (InvalidTextRepresentation)"),
    ],
)
def test_only_errors_about_the_server_tell_their_reason(error: type[psycopg.Error], shown: str) -> None:
    raised = error("canary and more", info={DiagnosticField.MESSAGE_PRIMARY: b"canary"})
    assert str(storage_failure(raised)) == shown
