"""An organization in one file: written as it is at one moment, and made again of it under new ids, or not at all."""

import base64
import hashlib
import io
import json
import os
import pty
import random
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ENGINES, Databases
from harness.installation import Installation
from harness.shop import Shop
from harness.world import GLOBEX_CANARY, World
from shopbell import organization_file
from shopbell.errors import CommandError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CANARY = "canary-of-a-header"
NOT_IN_FILES = {
    "installation",
    "api_tokens",
    "idempotency_keys",
    "webhook_subscriptions",
    "deliveries",
    "delivery_queues",
    "delivery_attempts",
}
FLIPS = 200


class Filled:
    """Acme with conversations, answers, notes, transfers, merges, blocks, templates, files and a webhook; beside it
    Globex, of which nothing may be in Acme's file."""

    def __init__(self, installation: Installation, people: World, engine: str) -> None:
        self.installation, self.people, self.engine = installation, people, engine
        self.files = f"file://{installation.folder / 'files'}"
        installation.settings = dict(installation.settings) | {"SHOPBELL_ATTACHMENTS_URL": self.files}
        self.secret = ""
        with installation.serving(run_worker=False) as server:
            self._fill(Shop(server, people))

    def _fill(self, shop: Shop) -> None:
        def post(path: str, **body: Any) -> dict[str, Any]:
            answer = shop.post(body, path=f"/api/{path}")
            assert answer.status_code == 200, answer.text
            done: dict[str, Any] = answer.json()
            return done

        employee = self.installation.cli("employee", "create", "--organization", self.people.acme, "Alice")["id"]
        self.installation.cli("template", "create", "--organization", self.people.acme, "Ready", "It is ready.")
        hook = post(
            "webhooks/",
            url="https://receiver.example/hook",
            subscribedEvents=["messages", "transfers"],
            extraHeaders=[{"name": "X-Shop", "value": CANARY}],
        )
        self.secret = str(hook.get("secret"))
        threads = [shop.send(message=f'Grüße {number}, 你好 \\ \t\n"') for number in range(6)]
        upload = shop.server.client.post(
            "/api/attachments", files={"file": ("receipt.png", PNG)}, headers={"token": self.people.token}
        )
        assert upload.status_code == 200, upload.text
        self.attachment = upload.json()["attachmentId"]
        send = "send-message-to-customer-thread"
        post(send, customerThreadId=threads[0], text="We look into it.", attachmentId=self.attachment)
        post(send, customerThreadId=threads[1], text="A note.", internal=True)
        post("assign-customer-thread", customerThreadId=threads[1], employeeUserId=employee)
        post("transfer-customer-thread", customerThreadId=threads[2], businessId=self.people.paris)
        kept, other, blocked = (shop.customer_of(thread_id) for thread_id in threads[3:])
        post(f"customers/{kept}/merge", otherCustomerId=str(other))
        post(f"customers/{blocked}/block")
        (known,) = shop.identities(blocked)["email"]
        shop.send(user={"email": known}, message="Kept apart.")
        shop.send(token=self.people.globex_token, businessId=self.people.london, message=GLOBEX_CANARY)

    def exported(self, file: Path, *options: str) -> dict[str, Any]:
        """Write Acme to a file."""
        answer: dict[str, Any] = self.installation.cli("organization", "export", self.people.acme, file, *options)
        return answer


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Filled]]:
    """Gives the filled installation of an engine, made when it is first asked for."""
    made: dict[str, Filled] = {}

    def get(engine: str) -> Filled:
        if engine not in made:
            installation = Installation(databases.copy(engine, "world"), tmp_path_factory.mktemp(f"filled-{engine}"))
            made[engine] = Filled(installation, World.load(databases.world_file(engine)), engine)
        return made[engine]

    yield get
    for each in made.values():
        databases.drop(each.installation.database)


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


def rows_of(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Tables and rows of a file, with ids counted from the organization's, and without the entries of imports."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    base = lines[0]["organizationId"]
    rows = []
    for line in lines:
        if "row" not in line or line["row"].get("action") == "organization.import":
            continue
        row = {
            name: value - base if isinstance(value, int) and (name == "id" or name.endswith("_id")) else value
            for name, value in line["row"].items()
        }
        for name in ("details", "subject", "actor"):
            if isinstance(row.get(name), str):
                row[name] = re.sub(r"\b[0-9]{5,}\b", lambda match: str(int(match[0]) - base), row[name])
        rows.append((line["table"], row))
    return rows


def sealed(lines: list[dict[str, Any]]) -> bytes:
    """A file of these lines, the first of which counts the rows, with the last line that belongs to them."""
    counts: dict[str, int] = {}
    for line in lines[1:]:
        if isinstance(line.get("table"), str):
            counts[line["table"]] = counts.get(line["table"], 0) + 1
    whole = [lines[0] | {"counts": counts}, *lines[1:]]
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole).encode()
    end = {"end": True, "lines": len(whole) + 1, "sha256": hashlib.sha256(body).hexdigest()}
    return body + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def documents(content: bytes) -> list[dict[str, Any]]:
    """All lines but the last."""
    return [json.loads(line) for line in content.splitlines()[:-1]]


@pytest.mark.parametrize("to", ENGINES)
def test_what_was_exported_and_imported_is_exported_again_the_same(
    source: Filled, to: str, databases: Databases, tmp_path: Path
) -> None:
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
    databases.drop(target.database)


def test_every_table_is_in_the_file_or_left_out_on_purpose(content: bytes) -> None:
    from shopbell.storage.schema import metadata

    assert set(documents(content)[0]["counts"]) == set(metadata.tables) - NOT_IN_FILES


def test_no_secret_and_nothing_of_others_is_in_the_file(source: Filled, content: bytes) -> None:
    assert source.secret.startswith("whsec_")
    hashes = source.installation.database.rows("SELECT token_hash FROM api_tokens")
    sealed_ones = source.installation.database.rows("SELECT sealed_secret, sealed_extra_headers FROM webhooks")
    secrets = [source.secret, CANARY, source.people.token, GLOBEX_CANARY]
    secrets += [value for row in [*hashes, *sealed_ones] for value in row.values()]
    assert len(secrets) > 8
    assert [secret for secret in secrets if secret.encode() in content] == []


def test_an_import_beside_the_original_makes_a_second_organization(
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


def test_a_file_without_bytes_brings_the_names_of_files_alone(source: Filled, tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    assert source.exported(file)["attachments"] is None
    made = source.installation.cli("organization", "import", file)
    assert (made["attachments"], made["missingAttachments"]) == (0, 1)


def test_every_flipped_bit_is_found(content: bytes) -> None:
    chosen = random.Random(20)
    positions = [*range(0, 200, 7), *range(len(content) - 120, len(content))]
    positions += [chosen.randrange(len(content)) for _ in range(FLIPS)]
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 1 << chosen.randrange(8)
        with pytest.raises(CommandError):
            organization_file.look_through(io.BytesIO(flipped))
    organization_file.look_through(io.BytesIO(content))


def test_a_file_that_is_cut_off_anywhere_is_refused(content: bytes) -> None:
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10][:-1]
    for end in [0, 1, *ends, *(end - 2 for end in ends), len(content) - 1]:
        with pytest.raises(CommandError, match=r"cut off|not the file of an organization"):
            organization_file.look_through(io.BytesIO(content[:end]))
    with pytest.raises(CommandError, match="something follows its last line"):
        organization_file.look_through(io.BytesIO(content + b"{}\n"))


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_file_touches_nothing(source: Filled, content: bytes, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "damaged.jsonl"
    flipped = content.replace("Grüße 2".encode(), "Grüsse 2".encode())
    file.write_bytes({"flipped": flipped, "cut": content[: len(content) // 2], "empty": b""}[damage])
    before = source.installation.cli("organization", "list")
    done = source.installation.run("organization", "import", file)
    assert done.returncode == 1
    assert source.installation.cli("organization", "list") == before


def _wrong(change: Callable[[list[dict[str, Any]], int], None], table: str) -> Callable[[bytes], tuple[bytes, int]]:
    """Changes the second row of a table; gives the file and the number of that line."""

    def make(content: bytes) -> tuple[bytes, int]:
        lines = documents(content)
        at = [number for number, line in enumerate(lines) if line.get("table") == table][1]
        change(lines, at)
        return sealed(lines), at + 1

    return make


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda lines, at: lines[at].update(table="recipes"), "neither a row of a known table"),
        (lambda lines, at: lines[at].update(row=[]), "neither a row of a known table"),
        (lambda lines, at: lines[at]["row"].update(added_later=1), "a column that this version does not know"),
        (lambda lines, at: lines[at]["row"].pop("body"), "lacks body"),
        (lambda lines, at: lines[at]["row"].update(body=None), "has a wrong body"),
        (lambda lines, at: lines[at]["row"].update(body="a\0b"), "has a wrong body"),
        (lambda lines, at: lines[at]["row"].update(body=7), "has a wrong body"),
        (lambda lines, at: lines[at]["row"].update(from_customer=1), "has a wrong from_customer"),
        (lambda lines, at: lines[at]["row"].update(sequence=True), "has a wrong sequence"),
        (lambda lines, at: lines[at]["row"].update(created_at_ms=2**63), "has a wrong created_at_ms"),
        (lambda lines, at: lines[at]["row"].update(id=2**53), "has an id that is none"),
        (lambda lines, at: lines[at]["row"].update(id=-5), "has an id that is none"),
        (lambda lines, at: lines[at]["row"].update(organization_id=1), "is of another organization"),
        (lambda lines, at: lines.insert(at, lines[1] | {"row": dict(lines[1]["row"])}), "must come earlier"),
    ],
)
def test_a_bad_line_is_named_by_its_number(content: bytes, change: Any, what: str) -> None:
    file, number = _wrong(change, "messages")(content)
    with pytest.raises(CommandError) as refused:
        organization_file.look_through(io.BytesIO(file))
    (line, end) = str(refused.value).splitlines()
    assert line.startswith(f"line {number} ")
    assert what in line
    assert end == "nothing was imported"
    organization_file.look_through(io.BytesIO(sealed(documents(content))))


def test_all_bad_lines_are_told_at_once_and_not_endlessly(content: bytes) -> None:
    lines = documents(content)
    for line in lines[1:]:
        line["row"] = None
    with pytest.raises(CommandError) as refused:
        organization_file.look_through(io.BytesIO(sealed(lines)))
    assert len(str(refused.value).splitlines()) == organization_file.FAULTS_SHOWN + 1


@pytest.mark.parametrize(
    "change",
    [
        lambda lines, at: lines[at]["row"].update(thread_id=lines[at]["row"]["id"]),
        lambda lines, at: lines[at]["row"].update(lines[at - 1]["row"]),
        lambda lines, at: lines[at]["row"].update(sequence=0),
    ],
)
def test_a_line_that_contradicts_others_is_named_and_nothing_is_written(
    source: Filled, content: bytes, tmp_path: Path, change: Any
) -> None:
    content, number = _wrong(change, "messages")(content)
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


def test_a_file_whose_ids_are_too_far_apart_takes_none(source: Filled, content: bytes, tmp_path: Path) -> None:
    lines = documents(content)
    for line in lines:
        if line.get("table") == "employees":
            line["row"]["id"] = 2**53 - 1
    file = tmp_path / "far.jsonl"
    file.write_bytes(sealed(lines))
    before = int(source.installation.cli("organization", "create", "Before")["id"])
    done = source.installation.run("organization", "import", file)
    assert "there are not as many ids left" in done.stderr
    assert before < int(source.installation.cli("organization", "create", "After")["id"]) < before + 10


def test_an_export_beside_a_writing_server_is_one_moment(source: Filled, tmp_path: Path) -> None:
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


def test_the_file_is_its_owners_alone_and_overwrites_nothing(source: Filled, tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    source.exported(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["acme.jsonl"]
    whole = file.read_bytes()
    done = source.installation.run("organization", "export", source.people.acme, file)
    assert "nothing is overwritten" in done.stderr
    assert file.read_bytes() == whole
    printed = source.installation.run("organization", "export", source.people.acme, "-").stdout
    assert printed.splitlines()[1:-1] == whole.decode().splitlines()[1:-1]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("export", "1", "out.jsonl"), "there is no organization 1"),
        (("export", "12344", "nowhere/out.jsonl"), "there is no folder"),
        (("export", "12344", "-", "--json"), "give a FILE"),
        (("import", "absent.jsonl"), "there is no file"),
    ],
)
def test_what_cannot_be_done_is_one_line(source: Filled, arguments: tuple[str, ...], what: str) -> None:
    done = source.installation.run("organization", *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert what in done.stderr
    assert not list(source.installation.folder.glob("*.jsonl"))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_progress_is_shown_to_people_alone(source: Filled, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "shopbell", "organization", "export", source.people.acme, str(tmp_path / "f")]
    environment = source.installation.environment | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=theirs, check=False, cwd=tmp_path)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "messages" in shown
    assert "rows of organization" in done.stdout.decode()
    quiet = source.installation.run("organization", "export", source.people.acme, tmp_path / "g")
    assert quiet.stderr == ""
