"""``shopbell init`` sets up an installation that works, and can be run again."""

import re
import shlex
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT
from harness.installation import Installation
from harness.smtp import HOST, PASSWORD, USER, SmtpServer

ANSWERS = (
    *("--public-url", "http://localhost:8080", "--organization", "Acme", "--business", "Acme Boston"),
    *("--region", "US", "--owner", "Alice@Acme.example"),
)


@dataclass
class Nothing(Installation):
    """An installation of which there is only a database and an empty folder: no variable is set."""

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in super().environment.items() if not name.startswith("SHOPBELL_")}
        return own | {"SHOPBELL_SMTP_CONNECT_TIMEOUT_S": "60"} | dict(self.settings)  # a machine may be slow

    @property
    def file(self) -> Path:
        """Where the settings are written."""
        return self.folder / "shopbell.toml"

    def init(self, *arguments: object) -> Any:
        """Run ``init`` with answers to all questions; returns its result."""
        return self.cli("init", *ANSWERS, "--database-url", self.database.url, "--yes", *arguments)


@pytest.fixture
def nothing(fresh_installation: Installation) -> Nothing:
    return Nothing(fresh_installation.database, fresh_installation.folder, settings={})


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


def refusal(installation: Installation, *arguments: object, code: int = 1) -> str:
    """What ``init`` says when it fails."""
    done = installation.run("init", *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    return done.stderr


def test_a_new_installation_takes_a_message_and_lets_its_owner_in(nothing: Nothing) -> None:
    done = nothing.init()
    assert done["created"] == ["business", "organization", "owner", "token"]
    assert done["serve"] == f"shopbell serve --config {nothing.file}"
    assert done["token"] in done["curl"]
    nothing.settings = {"SHOPBELL_CONFIG": str(nothing.file)}
    (business,) = nothing.cli("business", "list")
    assert (business["name"], business["defaultRegion"]) == ("Acme Boston", "US")
    assert business["email"] == "alice@acme.example"
    with nothing.serving() as server:
        body = {"businessId": done["businessId"], "message": "Hello", "user": {"phoneNumber": "(617) 555-0100"}}
        sent = server.client.post("/api/widget/send-message-to-business", json=body, headers={"token": done["token"]})
        assert sent.status_code == 200, sent.text
        path = done["link"].removeprefix("http://localhost:8080")
        assert "Acme" in server.client.get(path).text


def test_a_second_run_doubles_nothing_and_says_what_is_there(nothing: Nothing) -> None:
    first = nothing.init()
    text = nothing.file.read_bytes()
    second = nothing.init()
    same = ("organizationId", "businessId", "employeeId", "tokenId")
    assert [second[name] for name in same] == [first[name] for name in same]
    assert (second["created"], second["token"]) == ([], None)
    assert second["link"] not in (None, first["link"])
    assert nothing.file.read_bytes() == text
    for table, count in {
        "organizations": 1,
        "businesses": 1,
        "employees": 1,
        "api_tokens": 1,
        "invitations": 1,
    }.items():
        assert nothing.database.value(f"SELECT count(*) FROM {table}") == count
    lines = nothing.run("init", *ANSWERS, "--yes", "--no-checks").stdout.splitlines()
    assert f"organization  {first['organizationId']}  Acme  (existed)" in lines
    assert any(f"token rotate {first['tokenId']}" in line for line in lines)


def test_a_run_that_failed_after_the_file_was_written_continues(nothing: Nothing) -> None:
    nothing.database.change("UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in refusal(nothing, *ANSWERS, "--database-url", nothing.database.url, "--yes", "--no-checks")
    assert nothing.file.exists()
    nothing.database.change("UPDATE alembic_version SET version_num = '0001'")
    assert nothing.init()["created"] == ["business", "organization", "owner", "token"]


def test_an_owner_who_can_sign_in_gets_no_link(nothing: Nothing) -> None:
    done = nothing.init()
    nothing.database.change(
        "INSERT INTO passwords (organization_id, employee_id, hash, changed_at_ms) "
        "VALUES (:organization, :employee, 'hash', 0)",
        organization=int(done["organizationId"]),
        employee=int(done["employeeId"]),
    )
    assert nothing.init()["link"] is None


def test_what_the_organization_has_already_is_used(nothing: Nothing) -> None:
    nothing.init("--organization", "Globex")
    acme = nothing.cli("organization", "create", "Acme", "--config", nothing.file)
    done = nothing.init()
    assert done["organizationId"] == acme["id"]
    assert done["created"] == ["business", "owner", "token"]


def test_the_file_is_private_and_holds_for_every_folder(nothing: Nothing, tmp_path: Path) -> None:
    nothing.init()
    assert stat.S_IMODE(nothing.file.stat().st_mode) == 0o600
    values = tomllib.loads(nothing.file.read_text())
    assert values["public_url"] == "http://localhost:8080"
    assert ("secret_key" in values) is not nothing.database.is_sqlite
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = Nothing(nothing.database, elsewhere, settings={})
    (organization,) = there.cli("organization", "list", "--config", nothing.file)
    assert organization["name"] == "Acme"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_database_in_the_working_directory_gets_an_absolute_path(nothing: Nothing) -> None:
    nothing.cli("init", *ANSWERS, "--yes")
    values = tomllib.loads(nothing.file.read_text())
    assert values["database_url"] == f"sqlite:///{nothing.folder}/data/shopbell.db"
    assert (nothing.folder / "data" / "shopbell.db").is_file()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_without_a_terminal_it_names_the_options_that_are_missing(nothing: Nothing) -> None:
    text = " ".join(refusal(nothing, "--organization", "Acme", code=2).split())
    assert "give --public-url, --smtp-url, --business, --region, --owner; with --yes" in text
    assert "give --public-url, --organization, --owner" in " ".join(refusal(nothing, "--yes", code=2).split())
    assert list(nothing.folder.glob("*.toml")) == []


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_documented_script_works(nothing: Nothing) -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    (block,) = (
        each for each in re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "\nshopbell init" in each
    )
    export, command = (shlex.split(line) for line in block.splitlines())
    name, _, value = export[1].partition("=")
    nothing.settings = {name: value}
    assert nothing.cli(*command[1:], "--no-checks")["created"]  # its names exist only in the documentation
    values = tomllib.loads(nothing.file.read_text())
    assert (values["smtp_url"], values["mail_from"]) == (value, "shop@chat.example.org")
    assert "smtp_starttls" not in values
    assert values["trusted_proxies"] == "127.0.0.1, ::1"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_every_value_that_is_not_valid_is_named(nothing: Nothing) -> None:
    wrong = {"--public-url": "ftp://x", "--smtp-url": "smtp://u@h", "--organization": "", "--business": " "}
    wrong |= {"--region": "ZZ", "--owner": "alice", "--mail-from": "canary"}
    text = refusal(nothing, *(part for pair in wrong.items() for part in pair))
    # Without a mail server, its sender is not looked at.
    assert [line.split(": ")[1] for line in text.splitlines()] == [name for name in wrong if name != "--mail-from"]
    assert not nothing.file.exists()
    text = refusal(nothing, *ANSWERS, "--yes", "--database-url", "mysql://u:canary@h/d")
    assert text == "shopbell: --database-url: must start with sqlite: or postgresql:\n"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_option_that_contradicts_the_file_is_refused(nothing: Nothing) -> None:
    nothing.init()
    before = nothing.file.read_bytes()
    text = refusal(nothing, *ANSWERS, "--yes", "--public-url", "https://other.example")
    assert "exists and has another public_url" in text
    assert nothing.file.read_bytes() == before


@pytest.mark.parametrize("engine", ["sqlite"])
def test_variables_answer_as_options_do(nothing: Nothing) -> None:
    nothing.settings = {"SHOPBELL_PUBLIC_URL": "http://localhost:9000", "SHOPBELL_SMS_PROVIDER": "none"}
    nothing.cli("init", *ANSWERS[2:], "--yes", "--database-url", nothing.database.url)
    values = tomllib.loads(nothing.file.read_text())
    assert values["public_url"] == "http://localhost:9000"
    assert "sms_provider" not in values


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_mail_server_is_tried_and_gets_a_test_email(nothing: Nothing, smtp: SmtpServer) -> None:
    done = nothing.init("--smtp-url", smtp.url, "--mail-from", "shop@acme.example", "--test-mail", "bob@globex.example")
    assert done["created"]
    (mail,) = smtp.received
    assert mail.recipients == ("bob@globex.example",)
    values = tomllib.loads(nothing.file.read_text())
    assert (values["smtp_url"], values["mail_from"]) == (smtp.url, "shop@acme.example")
    assert values["smtp_starttls"] == "never"  # the server is on this machine


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_test_email_that_fails_costs_no_token(nothing: Nothing, smtp: SmtpServer) -> None:
    options = ("--smtp-url", smtp.url, "--mail-from", "shop@acme.example")
    where = ("--database-url", nothing.database.url)
    assert "must be an email address" in refusal(nothing, *ANSWERS, *options, *where, "--yes", "--test-mail", "bob")
    assert nothing.init(*options)["token"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_nothing_is_written_if_the_mail_server_refuses_the_login(nothing: Nothing) -> None:
    with SmtpServer(needs_login=True) as server:
        wrong = ("--smtp-url", f"smtp://{USER}:canary@{HOST}:{server.port}", "--mail-from", "shop@acme.example")
        text = refusal(nothing, *ANSWERS, "--yes", *wrong)
    assert "error    mail: 127.0.0.1:" in text
    assert "authentication_failed" in text
    assert "canary" not in text
    assert "add --no-checks" in text
    assert list(nothing.folder.glob("*.toml")) == []
    assert not (nothing.folder / "data").exists()
    done = nothing.init("--no-checks", *wrong)
    assert done["created"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_password_with_special_characters_survives_the_file(nothing: Nothing) -> None:
    with SmtpServer(needs_login=True) as server:
        url = f"smtp://{USER}:{PASSWORD.replace(' ', '%20').replace('/', '%2F')}@{HOST}:{server.port}"
        nothing.init("--smtp-url", url, "--mail-from", "shop@acme.example", "--test-mail", "bob@globex.example")
        assert [mail.user for mail in server.received] == [USER]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_written(nothing: Nothing) -> None:
    (nothing.folder / "file").touch()
    text = refusal(nothing, *ANSWERS, "--yes", "--database-url", f"sqlite:///{nothing.folder}/file/shopbell.db")
    assert "error    data folder: " in text
    assert not nothing.file.exists()
