"""``shopbell doctor`` finds problems and says how to fix them."""

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from harness import quadratic_cookies, session
from harness.databases import Databases
from harness.findings import PROVIDERS, examine, run_doctor
from harness.installation import Database, Installation
from harness.oidc import Provider
from harness.ports import free_port
from harness.world import World
from shopbell.operations.doctor.doctor import cookie_parser
from shopbell.operations.doctor.findings import Level

OTHER_KEY = "another-key-for-tests-" + "fedcba9876543210" * 4


@pytest.fixture(scope="module")
def databases() -> Databases:
    """Databases of a PostgreSQL whose settings are right."""
    folder = session.folder() / "durable"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    return Databases(folder, os.environ.get("PYTEST_XDIST_WORKER", "main"), itertools.count(1), fsync="on")


def test_a_healthy_installation_has_no_errors(installation: Installation) -> None:
    code, found = examine(installation)
    assert code == 0
    assert not [each for findings in found.values() for each in findings if each["level"] == "error"]
    expected = {"versions", "cookie parser", "clock", "migrations", "secret key", "durability", "attachments"}
    own = {"journal mode", "disk", "SQLite", "file modes"} if installation.database.is_sqlite else {"PostgreSQL"}
    assert expected | own <= set(found)


def test_durability_is_read_from_the_database(installation: Installation) -> None:
    _, found = examine(installation)
    details = [each["detail"] for each in found["durability"]]
    if installation.database.is_sqlite:
        assert details == ["synchronous = FULL: each commit is on the disk before the response"]
        assert found["journal mode"][0]["detail"] == "wal"
    else:
        assert details == ["fsync = on", "full_page_writes = on", "synchronous_commit = on"]


def test_a_python_with_a_slow_cookie_parser_is_a_warning() -> None:
    found = cookie_parser(quadratic_cookies.parse)
    assert found.level is Level.WARNING
    assert "CVE-2024-7592" in found.detail
    assert "update Python" in found.remedy


def test_a_python_with_a_fast_cookie_parser_is_no_warning() -> None:
    assert cookie_parser(lambda cookie: [cookie.split(";") for _ in range(1_000)]).level is Level.OK


def test_a_misspelt_variable_is_a_warning(installation: Installation) -> None:
    assert examine(installation)[1]["settings"][0]["level"] == "ok"
    installation.settings = {**installation.settings, "SHOPBELL_PROT": "canary"}
    code, found = examine(installation)
    assert code == 0
    (finding,) = found["settings"]
    assert (finding["level"], finding["detail"]) == ("warning", "unknown setting SHOPBELL_PROT")
    assert finding["remedy"] == "did you mean SHOPBELL_PORT?"


def test_a_database_of_a_newer_version_is_an_error(installation: Installation) -> None:
    installation.database.change("UPDATE alembic_version SET version_num = '9999'")
    code, found = examine(installation)
    assert code == 1
    assert found["migrations"][0]["level"] == "error"
    assert "later" in found["migrations"][0]["remedy"]


def test_another_secret_key_is_an_error(installation: Installation) -> None:
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": OTHER_KEY}
    code, found = examine(installation)
    assert code == 1
    assert found["secret key"][0]["level"] == "error"
    assert "SHOPBELL_SECRET_KEY" in found["secret key"][0]["remedy"]


def test_times_in_the_future_are_reported(installation: Installation) -> None:
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


def test_the_table_shows_the_same_as_the_json(installation: Installation) -> None:
    done = run_doctor(installation)
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
def test_the_records_of_email_are_read_from_the_name_server_that_is_given(installation: Installation) -> None:
    code, found = examine(installation, PROVIDERS | {"SHOPBELL_MAIL_DKIM_SELECTORS": "s1"})
    levels = {name: found[name][0]["level"] for name in ("mail", "SPF", "DKIM", "DMARC")}
    assert levels == {"mail": "ok", "SPF": "ok", "DKIM": "error", "DMARC": "ok"}
    assert (code, "is revoked" in found["DKIM"][0]["detail"]) == (1, True)
    done = installation.run("doctor", "--nameserver", "ns.acme.example")
    assert (done.returncode, "must be an IP address" in done.stderr) == (2, True)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_mail_server_that_refuses_the_login_is_an_error(installation: Installation) -> None:
    wrong = PROVIDERS["SHOPBELL_SMTP_URL"].replace("//", "//shop:canary@")
    code, found = examine(installation, PROVIDERS | {"SHOPBELL_SMTP_URL": wrong})
    assert (code, found["mail"][0]["level"]) == (1, "error")
    assert "canary" not in str(found)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_settings_file_that_every_user_can_read_is_reported(installation: Installation) -> None:
    file = installation.folder / "shopbell.toml"
    file.touch()
    remedies = {}
    for mode in (0o600, 0o640, 0o644):  # the group may be that of the server
        file.chmod(mode)
        remedies[mode] = [each["remedy"] for each in examine(installation)[1]["file modes"]]
    assert "chmod o= shopbell.toml" in remedies[0o644]
    assert "chmod o= shopbell.toml" not in remedies[0o600] + remedies[0o640]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_sms_folder_is_an_error_and_no_sms_provider_is_allowed(installation: Installation) -> None:
    code, found = examine(installation, PROVIDERS | {"SHOPBELL_SMS_PROVIDER": "folder"})
    assert (code, found["SMS"][0]["level"]) == (1, "error")
    code, found = examine(installation)
    assert (code, found["SMS"][0]["level"]) == (0, "ok")


def test_a_sign_in_provider_that_does_not_work_is_an_error(installation: Installation) -> None:
    provider = Provider()
    settings = {f"SHOPBELL_{name.upper()}": value for name, value in provider.settings.items()}
    settings["SHOPBELL_PUBLIC_URL"] = "http://localhost:8080"  # its name is not looked up in the network
    try:
        code, found = examine(installation, {**PROVIDERS, **settings})
        assert (code, found["OpenID Connect"][0]["detail"]) == (0, "Example ID publishes everything that is needed")
        provider.document = {"issuer": "https://mallory.example"}
        code, found = examine(installation, {**PROVIDERS, **settings})
        assert (code, found["OpenID Connect"][0]["level"]) == (1, "error")
        assert "names another issuer" in found["OpenID Connect"][0]["detail"]
        _, found = examine(installation, {**PROVIDERS, **settings, "SHOPBELL_OUTBOUND_ALLOW": ""})
        assert found["OpenID Connect"][0]["detail"] == "`shopbell serve` would not start"
        assert "SHOPBELL_OUTBOUND_ALLOW" in found["OpenID Connect"][0]["remedy"]
    finally:
        provider.close()


def test_businesses_with_notifications_and_no_address_are_named(installation: Installation, people: World) -> None:
    code, found = examine(installation)
    (finding,) = found["stores"]
    assert (code, finding["level"]) == (0, "warning")
    assert people.boston in finding["detail"]
    assert people.closed not in finding["detail"]
    for business_id, change in (
        (people.boston, ("--email", "boston@acme.example")),
        (people.paris, ("--no-notify-business",)),
    ):
        installation.cli("business", "update", business_id, *change)
    (finding,) = examine(installation)[1]["stores"]
    assert people.boston not in finding["detail"]
    assert people.paris not in finding["detail"]
    assert people.nowhere in finding["detail"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_files_readable_by_others_are_reported(installation: Installation) -> None:
    path = Path(make_url(installation.database.url).database or "")
    path.chmod(0o644)
    code, found = examine(installation)
    assert code == 0
    assert found["file modes"] == [
        {
            "level": "warning",
            "name": "file modes",
            "detail": f"other users of this machine can access {path}",
            "remedy": f"chmod 600 {path}",
        }
    ]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_lost_key_file_is_an_error_and_no_new_key_is_created(installation: Installation) -> None:
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": ""}
    code, found = examine(installation)
    assert code == 1
    assert "missing" in found["secret key"][0]["detail"]
    code, _ = examine(installation)
    assert code == 1


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_installation_without_a_database_is_told_how_to_start(fresh_installation: Installation) -> None:
    nothing = Database(f"sqlite:///{fresh_installation.folder}/nowhere/shopbell.db")
    code, found = examine(Installation(nothing, fresh_installation.folder))
    assert code == 0
    assert found["database"][0]["detail"] == "it does not exist yet"
    assert not (fresh_installation.folder / "nowhere").exists()


@pytest.mark.parametrize("engine", ["postgresql"])
def test_missing_backup_programs_are_reported(installation: Installation) -> None:
    installation.settings = dict(installation.settings) | {"PATH": "/nonexistent"}
    code, found = examine(installation)
    assert code == 0
    assert found["pg_dump"][0]["level"] == "warning"
    assert "postgresql-client" in found["pg_dump"][0]["remedy"]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_outdated_backup_programs_are_reported(installation: Installation, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (old / "pg_dump").chmod(0o755)
    installation.settings = dict(installation.settings) | {"PATH": f"{old}:/usr/bin:/bin"}
    code, found = examine(installation)
    assert code == 0
    assert found["pg_dump"][0]["level"] == "warning"
    assert "version 9 cannot back up" in found["pg_dump"][0]["detail"]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_shopbells_sessions_commit_synchronously_whatever_the_default(installation: Installation) -> None:
    name = make_url(installation.database.url).database
    installation.database.change(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    code, found = examine(installation)
    assert code == 0
    assert "synchronous_commit = on" in [each["detail"] for each in found["durability"]]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_an_unreachable_server_is_an_error(installation: Installation) -> None:
    nobody = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    code, found = examine(Installation(nobody, installation.folder))
    assert code == 1
    assert found["database"][0]["level"] == "error"
    assert "SHOPBELL_DATABASE_URL" in found["database"][0]["remedy"]
