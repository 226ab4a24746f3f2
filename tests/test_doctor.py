"""``shopbell doctor``: finds what is wrong and says how to mend it."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

import quadratic_cookies
from harness.installation import Database, Installation
from harness.nats import Nats
from harness.ports import free_port
from harness.postgres import Postgres
from harness.s3 import S3
from harness.world import World
from shopbell.doctor import Level, cookie_parser

PROVIDERS = {
    "SHOPBELL_SMTP_URL": "smtp://127.0.0.1:25",
    "SHOPBELL_MAIL_FROM": "shop@acme.example",
    "SHOPBELL_SMS_PROVIDER": "none",
}
OTHER_KEY = "another-key-for-tests-" + "fedcba9876543210" * 4


def examine(
    installation: Installation, providers: Mapping[str, str] = PROVIDERS
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and what was found by its name."""
    installation = replace(installation, settings={**providers, **installation.settings})
    done = installation.run("doctor", "--json")
    document = json.loads(done.stdout)
    assert document["healthy"] is (done.returncode == 0), done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["name"], []).append(finding)
    return done.returncode, found


def test_a_healthy_installation_has_no_errors(installation: Installation) -> None:
    code, found = examine(installation)
    assert code == 0
    assert not [each for findings in found.values() for each in findings if each["level"] == "error"]
    expected = {"versions", "cookie parser", "clock", "migrations", "secret key", "durability", "attachments"}
    own = {"journal mode", "disk", "SQLite", "file modes"} if installation.database.is_sqlite else {"PostgreSQL"}
    assert expected | own <= set(found)


def test_durability_is_looked_up_in_the_database(installation: Installation) -> None:
    _, found = examine(installation)
    details = [each["detail"] for each in found["durability"]]
    if installation.database.is_sqlite:
        assert details == ["synchronous = FULL: each commit is on the disk before it is answered"]
        assert found["journal mode"][0]["detail"] == "wal"
    else:
        assert details == ["fsync = on", "full_page_writes = on", "synchronous_commit = on"]


def test_a_python_with_a_slow_cookie_parser_is_a_warning() -> None:
    found = cookie_parser(quadratic_cookies.parse)
    assert found.level is Level.WARNING
    assert "CVE-2024-7592" in found.detail
    assert "update Python" in found.remedy


def test_a_python_with_a_fast_cookie_parser_is_none() -> None:
    assert cookie_parser(lambda cookie: [cookie.split(";") for _ in range(1_000)]).level is Level.OK


def test_a_misspelt_variable_is_a_warning(installation: Installation) -> None:
    assert examine(installation)[1]["settings"][0]["level"] == "ok"
    installation.settings = {**installation.settings, "SHOPBELL_PROT": "canary"}
    code, found = examine(installation)
    assert code == 0
    (finding,) = found["settings"]
    assert (finding["level"], finding["detail"]) == ("warning", "there is no setting SHOPBELL_PROT")
    assert finding["remedy"] == "SHOPBELL_PORT may be meant"


def test_a_database_of_a_newer_version_is_an_error(installation: Installation) -> None:
    installation.database.change("UPDATE alembic_version SET version_num = '9999'")
    code, found = examine(installation)
    assert code == 1
    assert found["migrations"][0]["level"] == "error"
    assert "later" in found["migrations"][0]["remedy"]


def test_a_foreign_secret_key_is_an_error(installation: Installation) -> None:
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": OTHER_KEY}
    code, found = examine(installation)
    assert code == 1
    assert found["secret key"][0]["level"] == "error"
    assert "SHOPBELL_SECRET_KEY" in found["secret key"][0]["remedy"]


def test_times_from_the_future_are_noticed(installation: Installation) -> None:
    installation.database.change("UPDATE audit_entries SET at_ms = at_ms + 86400000")
    code, found = examine(installation)
    assert code == 0
    assert found["stored times"][0]["level"] == "warning"


def test_the_doctor_changes_nothing(installation: Installation) -> None:
    def rows() -> list[list[dict[str, Any]]]:
        return [installation.database.rows(f"SELECT * FROM {table}") for table in ("installation", "audit_entries")]

    before = rows()
    names = sorted(path.name for path in installation.folder.iterdir())
    examine(installation)
    assert [
        installation.database.rows(f"SELECT * FROM {table}") for table in ("installation", "audit_entries")
    ] == before
    assert sorted(path.name for path in installation.folder.iterdir()) == names


def test_a_table_tells_people_the_same(installation: Installation) -> None:
    done = replace(installation, settings={**PROVIDERS, **installation.settings}).run("doctor")
    assert done.returncode == 0
    assert any(line.startswith("ok") and "migrations" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_installation_that_can_send_nothing_has_errors(installation: Installation) -> None:
    code, found = examine(installation, {})
    assert code == 1
    assert [found[name][0]["level"] for name in ("mail", "SMS")] == ["error"] * 2
    assert "no_mail_server" in found["mail"][0]["detail"]
    assert "shopbell mail test" in found["mail"][0]["remedy"]
    assert "no_sms_provider" in found["SMS"][0]["detail"]
    assert "SHOPBELL_SMS_PROVIDER" in found["SMS"][0]["remedy"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_texts_that_go_into_a_folder_are_an_error_and_none_at_all_may_be_wanted(installation: Installation) -> None:
    code, found = examine(installation, PROVIDERS | {"SHOPBELL_SMS_PROVIDER": "folder"})
    assert (code, found["SMS"][0]["level"]) == (1, "error")
    code, found = examine(installation)
    assert (code, found["SMS"][0]["level"]) == (0, "ok")


def test_businesses_that_are_to_be_told_and_have_no_address_are_named(
    installation: Installation, people: World
) -> None:
    code, found = examine(installation)
    (finding,) = found["stores"]
    assert (code, finding["level"]) == (0, "warning")
    assert people.boston in finding["detail"]
    assert people.closed not in finding["detail"]
    for business_id, change in (
        (people.boston, ("--email", "boston@acme.example")),
        (people.paris, ("--no-tell-store",)),
    ):
        installation.cli("business", "update", business_id, *change)
    (finding,) = examine(installation)[1]["stores"]
    assert people.boston not in finding["detail"]
    assert people.paris not in finding["detail"]
    assert people.nowhere in finding["detail"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_files_open_to_others_are_noticed(installation: Installation) -> None:
    path = Path(make_url(installation.database.url).database or "")
    path.chmod(0o644)
    code, found = examine(installation)
    assert code == 0
    assert found["file modes"] == [
        {
            "level": "warning",
            "name": "file modes",
            "detail": f"{path} is open to other users of this machine",
            "remedy": f"chmod 600 {path}",
        }
    ]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_lost_key_file_is_an_error_and_no_new_key_is_made(installation: Installation) -> None:
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": ""}
    code, found = examine(installation)
    assert code == 1
    assert "missing" in found["secret key"][0]["detail"]
    code, _ = examine(installation)
    assert code == 1


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_installation_without_a_database_is_told_how_to_begin(fresh_installation: Installation) -> None:
    nothing = Database(f"sqlite:///{fresh_installation.folder}/nowhere/shopbell.db")
    code, found = examine(Installation(nothing, fresh_installation.folder))
    assert code == 0
    assert found["database"][0]["detail"] == "there is none yet"
    assert not (fresh_installation.folder / "nowhere").exists()


@pytest.mark.parametrize("engine", ["postgresql"])
def test_missing_programs_for_backups_are_noticed(installation: Installation) -> None:
    installation.settings = dict(installation.settings) | {"PATH": "/nonexistent"}
    code, found = examine(installation)
    assert code == 0
    assert found["pg_dump"][0]["level"] == "warning"
    assert "postgresql-client" in found["pg_dump"][0]["remedy"]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_programs_too_old_for_backups_are_noticed(installation: Installation, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (old / "pg_dump").chmod(0o755)
    installation.settings = dict(installation.settings) | {"PATH": f"{old}:/usr/bin:/bin"}
    code, found = examine(installation)
    assert code == 0
    assert found["pg_dump"][0]["level"] == "warning"
    assert "version 9 cannot back up" in found["pg_dump"][0]["detail"]


def test_weakened_durability_is_an_error(own_postgres: Postgres, tmp_path: Path) -> None:
    engine = create_engine(
        make_url(own_postgres.url("postgres")).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET full_page_writes = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        deadline_s = time.monotonic() + 60
        while connection.execute(text("SHOW full_page_writes")).scalar() != "off":
            assert time.monotonic() < deadline_s, "the server did not read its settings again"
            time.sleep(0.01)
    engine.dispose()
    code, found = examine(Installation(Database(own_postgres.url("postgres")), tmp_path))
    assert code == 1
    (wrong,) = (each for each in found["durability"] if each["level"] == "error")
    assert wrong["detail"].startswith("full_page_writes = off: ")
    assert "full_page_writes = on" in wrong["remedy"]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_shopbells_sessions_wait_for_the_disk_whatever_the_default_is(installation: Installation) -> None:
    name = make_url(installation.database.url).database
    installation.database.change(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    code, found = examine(installation)
    assert code == 0
    assert "synchronous_commit = on" in [each["detail"] for each in found["durability"]]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_server_that_is_not_there_is_an_error(installation: Installation) -> None:
    nobody = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    code, found = examine(Installation(nobody, installation.folder))
    assert code == 1
    assert found["database"][0]["level"] == "error"
    assert "SHOPBELL_DATABASE_URL" in found["database"][0]["remedy"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_nats_is_looked_at_where_it_is_used(installation: Installation, own_nats: Nats) -> None:
    assert "NATS" not in examine(installation)[1]
    settings = dict(installation.settings)
    shown = f"nats://127.0.0.1:{own_nats.port}"

    installation.settings = settings | {"SHOPBELL_NATS_URL": own_nats.url}
    code, found = examine(installation)
    assert code == 0
    assert found["NATS"][0]["level"] == "ok"
    assert found["NATS"][0]["detail"].startswith(f"{shown} answers within ")

    wrong = f"nats://alice:very-secret@127.0.0.1:{own_nats.port}"
    installation.settings = PROVIDERS | settings | {"SHOPBELL_NATS_URL": wrong}
    done = installation.run("doctor", "--json")
    assert done.returncode == 0
    assert f"no wake-ups through {shown} " in done.stdout
    assert "very-secret" not in done.stdout + done.stderr

    own_nats.stop()
    installation.settings = settings | {"SHOPBELL_NATS_URL": own_nats.url}
    code, found = examine(installation)
    assert code == 0
    assert found["NATS"][0]["level"] == "warning"
    assert "SHOPBELL_NATS_URL" in found["NATS"][0]["remedy"]

    installation.settings = settings | {"SHOPBELL_NATS_URL": wrong.replace("nats:", "http:")}
    done = installation.run("doctor", "--json")
    assert done.returncode == 1
    assert "must look like nats:" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr


def test_where_attachments_go_is_tried(installation: Installation, tmp_path: Path) -> None:
    def found(**given: str) -> dict[str, Any]:
        changed = {f"SHOPBELL_{name.upper()}": value for name, value in given.items()}
        (finding,) = examine(Installation(installation.database, tmp_path, changed))[1]["attachments"]
        return finding

    level = found()["level"]
    assert level == ("ok" if installation.database.is_sqlite else "warning")
    assert found(attachments_url=tmp_path.as_uri())["detail"] == str(tmp_path)
    (tmp_path / "a-file").write_bytes(b"")
    assert found(attachments_url=(tmp_path / "a-file" / "x").as_uri())["level"] == "error"
    assert "must look like" in found(attachments_url="data/files")["remedy"]
    service = S3(tmp_path)
    service.start()
    assert found(**service.settings)["detail"] == "s3://files/kept/here"
    service.stop()
    gone = found(**service.settings)
    assert gone["level"] == "error"
    assert "the-secret-key" not in json.dumps(gone)
