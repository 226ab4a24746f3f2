"""An organization is exported consistently and imported completely."""

import base64
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.archives import CANARY, PNG, Filled, documents, filled_installations, rows_of, sealed, with_a_wrong_row
from harness.databases import Databases
from harness.installation import Installation
from harness.shop import Shop
from harness.suites import ENGINES
from harness.world import GLOBEX_CANARY

NOT_IN_FILES = {
    "installation",
    "api_tokens",
    "idempotency_keys",
    "actions",
    "action_items",
    "push_subscriptions",
    "push_cursors",
    "pushes",
    "inbox_cursors",
    "inbox_threads",
    "webhook_subscriptions",
    "deliveries",
    "delivery_queues",
    "delivery_attempts",
    "outbound_messages",
    "notification_cursors",
    "sms_usage",
    "throttles",
    "upload_usage",
    "customer_links",
    "customer_sessions",
    "employee_sessions",
    "invitations",
    "oidc_identities",
    "passkey_challenges",
    "passkeys",
    "passwords",
    "recovery_codes",
    "totp_secrets",
    "private_keys",
    "publishable_keys",
    "used_nonces",
    "opt_outs",
}


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Filled]]:
    """The filled installations of this module."""
    yield from filled_installations(databases, tmp_path_factory)


@pytest.fixture
def source(filled: Callable[[str], Filled], engine: str) -> Filled:
    """The filled installation of this engine."""
    return filled(engine)


@pytest.fixture(scope="module")
def content(filled: Callable[[str], Filled], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Acme's file, with the bytes of its attachment."""
    file = tmp_path_factory.mktemp("content") / "acme.jsonl"
    filled("sqlite").exported(file, "--attachments")
    return file.read_bytes()


@pytest.mark.parametrize("to", ENGINES)
def test_export_and_import_round_trip(source: Filled, to: str, databases: Databases, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    told = source.exported(first, "--attachments")
    assert (told["attachments"], told["missingAttachments"]) == (1, [])
    target = Installation(databases.copy(to, "world"), tmp_path, source.installation.settings)
    made = target.cli("organization", "import", first)
    assert (made["rows"], made["attachments"], made["webhooks"]) == (
        {name: count for name, count in told["rows"].items() if count},
        1,
        1,
    )
    target.cli("organization", "export", made["organizationId"], second, "--attachments")
    assert rows_of(second) == rows_of(first)
    assert next(line for line in documents(second.read_bytes()) if "base64" in line)["base64"] == (
        base64.b64encode(PNG).decode()
    )
    tables = {table for table, _ in rows_of(first)}
    assert {"assignments", "attachments", "blocked_messages", "customer_merges", "templates", "webhooks"} <= tables
    assert {"drafts", "draft_attachments", "snoozes", "tags", "thread_tags"} <= tables
    assert {"saved_replies", "saved_reply_attachments", "saved_views"} <= tables
    databases.drop(target.database)


def test_every_table_is_exported_or_excluded_on_purpose(content: bytes) -> None:
    from shopbell.db.schema.core import metadata

    assert set(documents(content)[0]["counts"]) == set(metadata.tables) - NOT_IN_FILES


def test_the_file_contains_no_secret_and_nothing_of_other_organizations(source: Filled, content: bytes) -> None:
    assert source.secret.startswith("whsec_")
    hashes = source.installation.database.rows("SELECT token_hash FROM api_tokens")
    sealed_ones = source.installation.database.rows("SELECT sealed_secret, sealed_extra_headers FROM webhooks")
    secrets = [source.secret, CANARY, source.people.token, GLOBEX_CANARY]
    secrets += [value for row in [*hashes, *sealed_ones] for value in row.values() if value]
    assert len(secrets) > 8
    assert [secret for secret in secrets if secret.encode() in content] == []


def test_importing_beside_the_original_creates_a_second_organization(
    source: Filled, databases: Databases, tmp_path: Path
) -> None:
    file = tmp_path / "acme.jsonl"
    source.exported(file, "--attachments")
    installation, people = source.installation, source.people
    before = rows_of(file)
    with installation.serving(run_worker=False) as server:
        made = installation.cli("organization", "import", file)
        organization = made["organizationId"]
        assert organization != people.acme
        token = installation.cli("token", "create", "--organization", organization)["token"]

        def read(path: str, token: str) -> Any:
            answer = server.client.get(path, headers={"token": token})
            assert answer.status_code == 200, answer.text
            return answer.json()

        for path, name in (("threads", "threads"), ("customers", "customers"), ("events?after=0", "events")):
            theirs, ours = read(f"/api/{path}", people.token)[name], read(f"/api/{path}", token)[name]
            assert len(theirs) == len(ours) > 3
        (hook,) = read("/api/webhooks", token)["webhooks"]
        assert hook["enabled"] is False
        attachment = installation.database.value(
            "SELECT id FROM attachments WHERE organization_id = :id", id=int(organization)
        )
        link = read(f"/api/attachments/{attachment}", token)["link"]
        assert server.client.get(link).content == PNG
        shop = Shop(server, people)
        businesses = read("/api/businesses", token)["businesses"]
        boston = next(each["id"] for each in businesses if each["name"] == "Acme Boston")
        shop.send(token=token, businessId=boston)
    again = tmp_path / "again.jsonl"
    source.exported(again)
    assert rows_of(again) == before


def test_a_file_without_attachments_imports_only_their_names(source: Filled, tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    assert source.exported(file)["attachments"] is None
    made = source.installation.cli("organization", "import", file)
    assert (made["attachments"], made["missingAttachments"]) == (0, 1)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_file_changes_nothing(source: Filled, content: bytes, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "damaged.jsonl"
    flipped = content.replace("Grüße 2".encode(), "Grüsse 2".encode())
    file.write_bytes({"flipped": flipped, "cut": content[: len(content) // 2], "empty": b""}[damage])
    before = source.installation.cli("organization", "list")
    done = source.installation.run("organization", "import", file)
    assert done.returncode == 1
    assert source.installation.cli("organization", "list") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda lines, at: lines[at]["row"].update(thread_id=lines[at]["row"]["id"]),
        lambda lines, at: lines[at]["row"].update(lines[at - 1]["row"]),
        lambda lines, at: lines[at]["row"].update(sequence=0),
    ],
)
def test_a_contradictory_line_is_reported_and_nothing_is_written(
    source: Filled, content: bytes, tmp_path: Path, change: Any
) -> None:
    content, number = with_a_wrong_row(content, "messages", change)
    file = tmp_path / "wrong.jsonl"
    file.write_bytes(content)
    before = source.installation.cli("organization", "list")
    stored = sorted((source.installation.folder / "files").rglob("*-*"))
    done = source.installation.run("organization", "import", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"line {number} contradicts" in done.stderr
    assert "Grüße" not in done.stderr
    assert source.installation.cli("organization", "list") == before
    assert sorted((source.installation.folder / "files").rglob("*-*")) == stored


def test_a_file_with_ids_too_far_apart_is_refused(source: Filled, content: bytes, tmp_path: Path) -> None:
    lines = documents(content)
    for line in lines:
        if line.get("table") == "employees":
            line["row"]["id"] = 2**53 - 1
    file = tmp_path / "far.jsonl"
    file.write_bytes(sealed(lines))
    before = int(source.installation.cli("organization", "create", "Before")["id"])
    done = source.installation.run("organization", "import", file)
    assert "too few ids left" in done.stderr
    assert before < int(source.installation.cli("organization", "create", "After")["id"]) < before + 10


def test_an_export_during_writes_is_consistent(source: Filled, tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    with source.installation.serving(run_worker=False) as server:
        shop, stop = Shop(server, source.people), threading.Event()
        email = shop.somebody()
        answered: list[str] = []

        def write() -> None:
            while not stop.is_set():
                answered.append(shop.send(user={"email": email}))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            while not answered:
                time.sleep(0.01)
            source.exported(file)
        finally:
            stop.set()
            writer.join()
    rows = rows_of(file)
    messages = {(row["thread_id"], row["sequence"]) for table, row in rows if table == "messages"}
    for table, row in rows:
        if table == "threads":
            there = {sequence for thread_id, sequence in messages if thread_id == row["id"]}
            assert there == set(range(1, row["last_sequence"] + 1))
    (feed,) = (row for table, row in rows if table == "feeds")
    assert max(row["position"] for table, row in rows if table == "events") == feed["last_position"]
    again = len([1 for table, _ in rows if table == "messages"])
    assert again > 8


def test_the_file_is_readable_by_its_owner_only_and_overwrites_nothing(source: Filled, tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    source.exported(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["acme.jsonl"]
    whole = file.read_bytes()
    done = source.installation.run("organization", "export", source.people.acme, file)
    assert "already exists" in done.stderr
    assert file.read_bytes() == whole
    printed = source.installation.run("organization", "export", source.people.acme, "-").stdout
    assert printed.splitlines()[1:-1] == whole.decode().splitlines()[1:-1]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("export", "1", "out.jsonl"), "there is no organization 1"),
        (("export", "12344", "nowhere/out.jsonl"), "there is no folder"),
        (("export", "12344", "-", "--json"), "must not be standard output"),
        (("import", "absent.jsonl"), "there is no file"),
    ],
)
def test_an_impossible_operation_is_reported_in_one_line(source: Filled, arguments: tuple[str, ...], what: str) -> None:
    done = source.installation.run("organization", *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert what in done.stderr
    assert not list(source.installation.folder.glob("*.jsonl"))
