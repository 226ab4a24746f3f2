"""The command line, for people and programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.installation import Database, Installation
from harness.ports import free_port
from harness.shop import Shop
from harness.world import World


def faults(installation: Installation, *arguments: object, code: int = 1) -> list[str]:
    """Run a command that must fail, and return the lines that it says about it."""
    done = installation.run(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def start(installation: Installation, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command that goes on until it is told to end."""
    return subprocess.Popen(
        [sys.executable, "-m", "shopbell", *arguments],
        cwd=installation.folder,
        env=installation.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def test_the_first_business_has_the_documented_id(
    fresh_installation: Installation,
) -> None:
    acme = fresh_installation.cli("organization", "create", "Acme")
    assert acme["id"] == "12344"
    business = fresh_installation.cli("business", "create", "--organization", acme["id"], "Acme Boston")
    assert business["id"] == "12345"


def test_an_organization_is_created_and_listed(fresh_installation: Installation) -> None:
    made = fresh_installation.cli("organization", "create", "  Ácme & Söhne 🔔 ")
    assert made["name"] == "Ácme & Söhne 🔔"
    assert isinstance(made["createdAt"], int)
    assert fresh_installation.cli("organization", "list") == [made]


def test_a_business_is_stored_in_normal_form(fresh_installation: Installation) -> None:
    acme = fresh_installation.cli("organization", "create", "Acme")["id"]
    options = ("--locale", "fr_ca", "--region", "ca", "--timezone", "America/Toronto", "--email", "Shop@Acme.example")
    phones = ("--phone", "(416) 555-0100", "--forward-phone", "+33 1 23 45 67 89")
    made = fresh_installation.cli("business", "create", "--organization", acme, "Acme", *options, *phones)
    expected = {
        "organizationId": acme,
        "name": "Acme",
        "locale": "fr-CA",
        "defaultRegion": "CA",
        "timeZone": "America/Toronto",
        "email": "Shop@Acme.example",
        "phoneNumber": "+14165550100",
        "voiceForwardNumber": "+33123456789",
        "deactivatedAt": None,
        "invitesCustomers": True,
        "tellsStore": True,
        "autoReplies": True,
        "openingHours": None,
        "survey": None,
        "brandColor": None,
        "active": True,
    }
    assert made == expected | {"id": made["id"], "createdAt": made["createdAt"]}
    assert fresh_installation.cli("business", "list") == [made]


def test_a_business_without_options_defaults_to_english_and_utc(fresh_installation: Installation) -> None:
    acme = fresh_installation.cli("organization", "create", "Acme")["id"]
    made = fresh_installation.cli("business", "create", "--organization", acme, "Acme")
    assert (made["locale"], made["timeZone"], made["defaultRegion"]) == ("en", "UTC", None)


def test_an_update_changes_only_the_given_fields(installation: Installation, people: World) -> None:
    (before,) = (each for each in installation.cli("business", "list") if each["id"] == people.boston)
    after = installation.cli("business", "update", people.boston, "--name", "Acme Cambridge", "--phone", "617 555 0100")
    assert after == before | {"name": "Acme Cambridge", "phoneNumber": "+16175550100"}


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_business_shows_its_opening_hours_and_notification_address(installation: Installation, people: World) -> None:
    hours = '{"weekly": {"mon": [["13:30", "18:00"], ["09:00", "12:00"]]}}'
    switches = ("--no-invite-customers", "--no-notify-business", "--no-auto-replies")
    given = ("--opening-hours", hours, "--survey", "csat", "--brand-color", "#8F4F00")
    after = installation.cli("business", "update", people.boston, *switches, *given)
    assert [after[name] for name in ("invitesCustomers", "tellsStore", "autoReplies")] == [False] * 3
    assert after["openingHours"]["weekly"]["mon"] == [["09:00", "12:00"], ["13:30", "18:00"]]
    assert (after["survey"], after["brandColor"]) == ("csat", "#8f4f00")
    emptied = ("--opening-hours", "", "--survey", "", "--brand-color", "", "--notify-business")
    after = installation.cli("business", "update", people.boston, *emptied)
    assert [after[name] for name in ("openingHours", "survey", "brandColor", "tellsStore")] == [None, None, None, True]
    wrong = ("--opening-hours", '{"weekly": {"mon": [["25:00", "18:00"]]}}', "--survey", "x", "--brand-color", "red")
    done = installation.run("business", "update", people.boston, *wrong)
    assert done.returncode != 0
    assert all(name in done.stderr for name in ("opening hours", "survey", "brand color"))
    assert "25:00" not in done.stderr


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_empty_option_removes_a_value(installation: Installation, people: World) -> None:
    installation.cli("business", "update", people.boston, "--email", "a@acme.example", "--phone", "+16175550100")
    emptied = ("--email", "", "--phone", "", "--region", "")
    after = installation.cli("business", "update", people.boston, *emptied)
    assert (after["email"], after["phoneNumber"], after["defaultRegion"]) == (None, None, None)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_number_without_a_plus_uses_the_region_given_with_it(installation: Installation, people: World) -> None:
    after = installation.cli("business", "update", people.boston, "--region", "FR", "--phone", "01 23 45 67 89")
    assert after["phoneNumber"] == "+33123456789"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_all_invalid_values_of_a_business_are_reported_at_once_and_not_repeated(
    installation: Installation, people: World
) -> None:
    options = ("--locale", "english", "--region", "ZZ", "--timezone", "Mars/Olympus", "--email", "bad.example")
    phones = ("--phone", "4711-secret", "--forward-phone", "12")
    lines = faults(installation, "business", "create", "--organization", people.acme, " ", *options, *phones)
    told = ("name", "locale", "region", "time zone", "email address", "phone number", "forward phone number")
    assert len(lines) == len(told)
    for line, what in zip(lines, told, strict=True):
        assert line.startswith(f"shopbell: the {what} must ")
    for value in ("english", "ZZ", "Mars", "bad.example", "4711"):
        assert value not in "\n".join(lines)


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("business", "create", "--organization", "99", "Acme"),
        ("business", "update", "99", "--name", "Acme"),
        ("business", "deactivate", "99"),
        ("token", "create", "--organization", "99"),
        ("token", "revoke", "99"),
        ("token", "rotate", "99"),
        ("threads", "show", "99"),
        ("customers", "show", "99"),
    ],
    ids=" ".join,
)
def test_an_unknown_object_is_reported_in_one_line(
    fresh_installation: Installation, arguments: tuple[str, ...]
) -> None:
    (line,) = faults(fresh_installation, *arguments)
    assert line.startswith("shopbell: there is no ")
    assert "99" in line


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("organization", "create"),
        ("business", "create", "Acme"),
        ("token", "revoke", "one"),
        ("token", "revoke", str(2**53)),
        ("token", "create", "--organization", "1", "--expires", "tomorrow"),
        ("threads", "list", "--status", "open"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_an_invalid_command_line_exits_with_2(fresh_installation: Installation, arguments: tuple[str, ...]) -> None:
    assert "Usage: shopbell" in "\n".join(faults(fresh_installation, *arguments, code=2))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_each_invalid_setting_is_reported_in_one_line(fresh_installation: Installation) -> None:
    fresh_installation.settings = {"SHOPBELL_PORT": "http", "SHOPBELL_RATE_LIMIT_PER_S": "-1"}
    lines = faults(fresh_installation, "organization", "list")
    assert len(lines) == 2
    assert lines[0].startswith("shopbell: SHOPBELL_PORT: ")
    assert lines[1].startswith("shopbell: SHOPBELL_RATE_LIMIT_PER_S: ")


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_malformed_settings_file_is_reported_in_one_line(fresh_installation: Installation) -> None:
    (fresh_installation.folder / "shopbell.toml").write_text("port = = 1\n")
    (line,) = faults(fresh_installation, "organization", "list")
    assert line.startswith("shopbell: shopbell.toml: ")


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("command", [("organization", "list"), ("migrate",), ("serve",), ("doctor",)], ids=" ".join)
def test_each_command_reads_the_settings_file_that_it_is_given(
    fresh_installation: Installation, command: tuple[str, ...]
) -> None:
    (fresh_installation.folder / "other.toml").write_text("prot = 1\n")
    (line,) = faults(fresh_installation, *command, "--config", "other.toml")
    assert line == "shopbell: other.toml: unknown setting 'prot'; did you mean 'port'?"
    (line,) = faults(fresh_installation, *command, "--config", "missing.toml")
    assert line.startswith("shopbell: SHOPBELL_CONFIG: the file that this variable or --config names does not exist")


def test_a_missing_database_is_reported_in_one_line(tmp_path: Path) -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    (line,) = faults(Installation(database, tmp_path), "organization", "list")
    assert line.startswith("shopbell: the database failed")


def test_a_folder_that_cannot_be_created_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path}/file/below/shopbell.db")
    (line,) = faults(Installation(database, tmp_path), "organization", "list")
    assert line.startswith("shopbell: ")
    assert "file/below" in line


@pytest.mark.parametrize("engine", ["sqlite"])
def test_tables_are_plain_lines_outside_a_terminal(fresh_installation: Installation) -> None:
    name = "very long name [red]with[/red] " * 6
    fresh_installation.cli("organization", "create", name)
    done = fresh_installation.run("organization", "list")
    assert len(done.stdout.splitlines()) == 2
    assert name.strip() in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_empty_table_is_reported_on_standard_error(fresh_installation: Installation) -> None:
    done = fresh_installation.run("threads", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "There are no such conversations.\n"
    assert fresh_installation.cli("threads", "list") == []


def test_a_conversation_is_shown_with_all_its_messages(shop: Shop) -> None:
    email = shop.somebody()
    thread_id = shop.send(message="First 🔔", user={"email": email})
    shop.send(message="Second", user={"email": email})
    shown = shop.server.installation.cli("threads", "show", thread_id)
    messages = shown.pop("messages")
    assert shown == {
        "organizationId": shop.world.acme,
        "id": thread_id,
        "customerId": str(shop.customer_of(thread_id)),
        "businessId": shop.world.boston,
        "channel": "WEB",
        "status": "waiting",
        "lastSequence": 2,
        "createdAt": shown["createdAt"],
        "updatedAt": messages[1]["timestamp"],
        "lastReplySequence": 0,
        "lastCustomerMessageAt": messages[1]["timestamp"],
    }
    assert [(each["sequence"], each["body"]) for each in messages] == [(1, "First 🔔"), (2, "Second")]
    for message in messages:
        assert (message.pop("fromCustomer"), message.pop("internal")) == (True, False)
        assert {
            message.pop(name) for name in ("employeeId", "contentSid", "externalId", "attachmentId", "channel")
        } == {None}
        assert set(message) == {"id", "sequence", "body", "timestamp"}


def test_customer_texts_cannot_control_the_terminal(shop: Shop) -> None:
    thread_id = shop.send(message="Hello\x1b[2J\x9b31m\r\nsecond line\u2028")
    shown = shop.server.installation.run("threads", "show", thread_id).stdout
    assert "Hello\\x1b[2J\\x9b31m\n" in shown
    assert "  second line\\u2028\n" in shown
    assert not {"\x1b", "\x9b", "\r", "\u2028"} & set(shown)


def test_threads_are_listed_by_the_given_filters(own_shop: Shop) -> None:
    boston = own_shop.send()
    paris = own_shop.send(businessId=own_shop.world.paris)
    own_shop.database.change("UPDATE threads SET status = 'resolved' WHERE id = :id", id=int(boston))

    def listed(*options: object) -> list[str]:
        return [each["id"] for each in own_shop.server.installation.cli("threads", "list", *options)]

    assert listed() == [paris, boston]
    assert listed("--limit", 1) == [paris]
    assert listed("--status", "resolved") == [boston]
    assert listed("--business", own_shop.world.paris) == [paris]
    assert listed("--organization", own_shop.world.globex) == []


def test_a_customer_is_shown_with_their_identities(shop: Shop) -> None:
    carol, dave, phone = shop.somebody(), shop.somebody(), shop.some_number()
    by_email = shop.send(user={"email": carol.upper(), "locale": "en_us"})
    by_phone = shop.send(user={"phoneNumber": phone, "email": dave})
    assert shop.send(user={"email": carol, "phoneNumber": phone}) == by_email
    shown = shop.server.installation.cli("customers", "show", shop.customer_of(by_email))
    assert shown["locale"] == "en-US"
    assert shown["identities"] == [{"kind": "email", "value": carol, "shown": carol.upper()}]
    assert shown["possibleDuplicates"] == [str(shop.customer_of(by_phone))]
    assert [each["id"] for each in shown["threads"]] == [by_email]
    twin = shop.server.installation.cli("customers", "show", shop.customer_of(by_phone))
    assert twin["possibleDuplicates"] == [str(shop.customer_of(by_email))]
    assert [each["kind"] for each in twin["identities"]] == ["email", "phone"]
    text = shop.server.installation.run("customers", "show", shop.customer_of(by_phone)).stdout
    assert phone in text


def test_the_running_server_accepts_messages_for_a_new_business(shop: Shop) -> None:
    installation = shop.server.installation
    business = installation.cli("business", "create", "--organization", shop.world.acme, "Acme Salem")["id"]
    token = installation.cli("token", "create", "--organization", shop.world.acme)["token"]
    assert shop.thread(shop.send(businessId=business, token=token))["business_id"] == int(business)


def test_every_change_is_audited(installation: Installation, people: World) -> None:
    business = installation.cli("business", "create", "--organization", people.acme, "Acme Salem")["id"]
    installation.cli("business", "update", business, "--name", "Acme Lynn")
    installation.cli("business", "deactivate", business)
    token = installation.cli("token", "create", "--organization", people.acme)["id"]
    successor = installation.cli("token", "rotate", token)["id"]
    installation.cli("token", "revoke", token)
    rows = installation.database.rows("SELECT * FROM audit_entries ORDER BY at_ms, id")
    assert {row["actor"] for row in rows} == {"command line"}
    assert [(row["action"], row["subject"]) for row in rows if row["organization_id"] == int(people.acme)][-7:] == [
        ("business.create", f"business {business}"),
        ("business.update", f"business {business}"),
        ("business.deactivate", f"business {business}"),
        ("token.create", f"token {token}"),
        ("token.rotate", f"token {token}"),
        ("token.create", f"token {successor}"),
        ("token.revoke", f"token {token}"),
    ]


@pytest.mark.parametrize("arguments", [("organization", "list"), ("organization", "list", "--json")], ids=" ".join)
def test_a_closed_output_pipe_is_not_an_error(installation: Installation, arguments: tuple[str, ...]) -> None:
    command = start(installation, *arguments)
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == ""
    assert command.wait(60) == 1
    command.stderr.close()


def test_migrate_reports_what_it_found(fresh_installation: Installation) -> None:
    again = fresh_installation.cli("migrate")
    assert (again["before"], again["now"]) == ("current", "current")
