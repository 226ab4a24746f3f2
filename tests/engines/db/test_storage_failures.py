"""Database errors state their reason without secrets."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, timeout_from_conninfo
from psycopg.pq import DiagnosticField
from sqlalchemy import make_url

from harness.installation import PLENTY, SECRET_KEY, Database, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.db.failures import storage_failure
from shopbell.db.postgres import PostgresDatabase

only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def failed(folder: Path, url: str) -> str:
    """What a command says with this address of the database."""
    settings = {**PLENTY, "SHOPBELL_SECRET_KEY": SECRET_KEY}
    done = Installation(Database(url), folder, settings).run("token", "list")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "canary" not in line
    return line


@pytest.mark.parametrize("password", ["a@canary", "a@canary:1", "a@canary/1"])
def test_an_unencoded_password_is_refused_and_not_shown(password: str, tmp_path: Path) -> None:
    line = failed(tmp_path, f"postgresql://shop:{password}@127.0.0.1/shop")
    assert line.startswith("shopbell: SHOPBELL_DATABASE_URL: ")


def test_a_file_that_is_not_a_database_is_reported_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "shopbell.db").write_bytes(b"canary" * 1_000)
    line = failed(tmp_path, f"sqlite:///{tmp_path / 'shopbell.db'}")
    assert line == "shopbell: the database failed (DatabaseError: file is not a database)"


@only_postgresql
def test_statement_values_are_not_in_the_reason(installation: Installation, people: World) -> None:
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
def test_addresses_and_numbers_are_removed_from_the_reason(text: str, shown: str) -> None:
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
def test_only_server_errors_include_their_reason(error: type[psycopg.Error], shown: str) -> None:
    raised = error("canary and more", info={DiagnosticField.MESSAGE_PRIMARY: b"canary"})
    assert str(storage_failure(raised)) == shown


def test_the_variable_of_libpq_sets_how_long_connecting_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    def timeout_s() -> int:
        database = PostgresDatabase(make_url("postgresql+psycopg://shop@127.0.0.1:1/shop"))
        return timeout_from_conninfo(conninfo_to_dict(database.conninfo))

    monkeypatch.delenv("PGCONNECT_TIMEOUT")
    assert timeout_s() == 3
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "40")
    assert timeout_s() == 40
