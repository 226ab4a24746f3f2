"""A database of each earlier version is upgraded, and an upgrade is rolled back."""

import base64
import json
import lzma
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import TESTS
from harness.databases import add_postgres_programs
from harness.installation import Database, Installation, Server
from harness.later_version import ADDED_TABLE, become_later_version
from harness.schema import described, live_schema
from harness.shop import WIDGET, Shop
from harness.world import World
from shopbell.db.connect import connect_database
from shopbell.db.migrate import State, migrate
from shopbell.operations.backups import restore
from shopbell.settings.settings import load

if TYPE_CHECKING:
    from harness.databases import Databases

FIXTURES = TESTS / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir() if (path / "contents.json").exists())
"""``fixtures/make_fixture.py`` made them."""
NEW_TEXT = "A message after the upgrade"


@dataclass(frozen=True)
class Earlier:
    """The installation of an earlier version, and what is in it."""

    installation: Installation
    contents: dict[str, Any]

    def check(self, server: Server) -> None:
        """Check that everything is there, and works."""
        headers = {"token": self.contents["token"]}
        for thread_id, texts in self.contents["texts"].items():
            answer = server.client.get(f"/api/threads/{thread_id}/messages", headers=headers)
            assert [message["text"] for message in answer.json()["messages"]] == texts
        attachment = server.client.get(f"/api/attachments/{self.contents['attachment']}", headers=headers).json()
        (content,) = self.contents["files"].values()
        assert server.client.get(attachment["link"]).content == base64.b64decode(content)

    def send(self, server: Server) -> None:
        """Send a message to a business, and reply to it."""
        headers = {"token": self.contents["token"]}
        user = {"email": "carol@example.com"}
        body = {"businessId": self.contents["business"], "message": NEW_TEXT, "user": user}
        answer = server.client.post(WIDGET, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        reply = {"customerThreadId": answer.json()["customerThreadId"], "text": "We look into it."}
        answer = server.client.post("/api/send-message-to-customer-thread", json=reply, headers=headers)
        assert answer.status_code == 200, answer.text

    @property
    def new_messages(self) -> int:
        """How many messages were sent after the upgrade."""
        return int(self.installation.database.value("SELECT count(*) FROM messages WHERE body = :b", b=NEW_TEXT))


def load_database(engine: str, version: str, databases: "Databases", folder: Path) -> Database:
    """The database of a fixture."""
    if engine == "sqlite":
        file = folder / "data" / "shopbell.db"
        file.parent.mkdir()
        file.write_bytes(lzma.decompress((FIXTURES / version / "sqlite.db.xz").read_bytes()))
        return Database(f"sqlite:///{file}")
    database = databases.empty()
    psql = [str(databases.postgres().binaries / "psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"]
    statements = lzma.decompress((FIXTURES / version / "postgresql.sql.xz").read_bytes())
    subprocess.run([*psql, database.url], input=statements, stdout=subprocess.DEVNULL, check=True)
    return database


@pytest.fixture(params=VERSIONS)
def earlier(request: pytest.FixtureRequest, engine: str, databases: "Databases", tmp_path: Path) -> Iterator[Earlier]:
    """The installation of an earlier version."""
    database = load_database(engine, request.param, databases, tmp_path)
    installation = Installation(database, tmp_path)
    if engine == "postgresql":
        add_postgres_programs(installation, databases)
    contents = json.loads((FIXTURES / request.param / "contents.json").read_text())[engine]
    for name, content in contents["files"].items():
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(base64.b64decode(content))
    own = {"SHOPBELL_ATTACHMENTS_URL": f"file://{tmp_path / 'files'}"}
    installation.settings = dict(installation.settings) | own
    yield Earlier(installation, contents)
    if engine == "postgresql":
        for each in {database, installation.database}:
            databases.drop(each)


def test_there_is_a_fixture() -> None:
    assert VERSIONS
    assert sum(file.stat().st_size for file in (FIXTURES / VERSIONS[-1]).iterdir()) < 300_000


def test_an_upgraded_database_has_the_schema_of_today(
    earlier: Earlier, engine: str, databases: "Databases", tmp_path: Path
) -> None:
    earlier.installation.cli("migrate")
    assert described(earlier.installation.database) == live_schema(engine, databases, tmp_path)


def test_a_database_of_an_earlier_version_is_upgraded_and_rolled_back(
    earlier: Earlier, engine: str, databases: "Databases", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = earlier.installation
    backup = installation.cli("backup", tmp_path / "before.tar")["file"]
    with monkeypatch.context() as later:
        become_later_version(later, tmp_path)
        assert "make a backup, then run `shopbell migrate`" in installation.run("threads", "list").stderr
        assert installation.cli("migrate")["before"] == "older"
        with installation.serving(run_worker=False) as server:
            earlier.check(server)
            earlier.send(server)
        assert earlier.new_messages == 1
    # The earlier version again.
    assert "newer than this version" in installation.run("threads", "list").stderr
    if engine == "postgresql":
        before = installation.database.rows("SELECT * FROM messages ORDER BY id")
        done = installation.run("restore", backup)
        assert done.returncode == 1
        assert "create an empty database" in done.stderr
        assert installation.database.rows("SELECT * FROM messages ORDER BY id") == before
        installation.database = databases.empty()
    assert installation.cli("restore", backup)["deliveriesHeldBack"] is True
    installation.cli("migrate")
    assert earlier.new_messages == 0
    with installation.serving(run_worker=False) as server:
        earlier.check(server)
        earlier.send(server)
    assert earlier.new_messages == 1
    # A second attempt.
    become_later_version(monkeypatch, tmp_path)
    assert installation.cli("migrate")["before"] == "older"
    with installation.serving(run_worker=False) as server:
        earlier.check(server)
        earlier.send(server)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "control"])
def test_a_rollback_into_a_migrated_database_would_prevent_the_next_upgrade(
    earlier: Earlier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    installation = earlier.installation
    installation.cli("migrate")
    backup = installation.cli("backup", tmp_path / "before.tar")["file"]
    become_later_version(monkeypatch, tmp_path)
    installation.cli("migrate")
    if is_refused:
        assert "tables of another version" in installation.run("restore", backup).stderr
        assert installation.cli("migrate")["before"] == "current"
    else:
        monkeypatch.setattr(restore, "_check_revision", lambda *_: None)
        assert installation.run("restore", backup).returncode == 0
        done = installation.run("migrate")
        assert done.returncode == 1
        assert f'relation "{ADDED_TABLE}" already exists' in done.stderr


def test_a_server_goes_on_after_a_migration_that_only_adds(
    installation: Installation, people: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        thread_id = shop.send()
        shop.messages(thread_id)
        become_later_version(monkeypatch, tmp_path)
        database = connect_database(load())
        assert migrate(database) is State.OLDER
        database.engine.dispose()
        assert shop.send() != thread_id
        reply = {"customerThreadId": thread_id, "text": "We look into it."}
        assert shop.post(reply, path="/api/send-message-to-customer-thread").status_code == 200
        assert len(shop.messages(thread_id)) == 2
        listed = server.client.get("/api/threads", headers={"token": people.token})
        assert len(listed.json()["threads"]) == 2
        assert server.client.get("/readyz").status_code == 200
