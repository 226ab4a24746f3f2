"""``shopbell move`` copies an installation to PostgreSQL or nothing."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, make_url

from harness import preloaded
from harness.databases import Databases
from harness.installation import Database, Installation, copy_sqlite
from harness.shop import Shop
from harness.waiting import wait_until_left
from harness.world import World
from shopbell.db.schema.core import metadata
from shopbell.operations import sqlite_to_postgres

HOOK = "https://receiver.example/hook"
MOVE_AND_DIE = """
import os, signal, sys
from shopbell.settings import settings
from shopbell.operations.sqlite_to_postgres import move

left = int(sys.argv[1])

def on_progress(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

move(settings.load(), sys.argv[2], on_progress)
"""


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An SQLite file with conversations, answers, an employee, a template, a webhook and its deliveries."""
    database = databases.copy("sqlite", "world")
    installation = Installation(database, tmp_path_factory.mktemp("filled"))
    people = databases.world("sqlite")
    installation.cli("employee", "create", "--organization", people.acme, "Alice", "--email", "alice@acme.example")
    installation.cli("template", "create", "--organization", people.acme, "Ready", "It is ready.")
    installation.cli("webhooks", "create", "--organization", people.acme, HOOK)
    with installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        for number in range(20):
            thread_id = shop.send(message=f"Grüße, 你好 {number} \\ \t\n", key=f"key-{number}")
            answer = shop.post(
                {"customerThreadId": thread_id, "text": "We look into it."}, path="/api/send-message-to-customer-thread"
            )
            assert answer.status_code == 200, answer.text
    yield Path(make_url(database.url).database or "")
    databases.drop(database)


@pytest.fixture
def source(filled: Path, tmp_path: Path) -> Installation:
    """An installation on SQLite that is a copy of that one."""
    path = tmp_path / "source" / "shopbell.db"
    path.parent.mkdir(mode=0o700)
    copy_sqlite(filled, path)
    return Installation(Database(f"sqlite:///{path}"), tmp_path)


@pytest.fixture
def people(databases: Databases, source: Installation) -> World:
    """Who is in the source."""
    return databases.world("sqlite")


@pytest.fixture
def target(databases: Databases) -> Iterator[Database]:
    """An empty PostgreSQL database."""
    database = databases.empty()
    yield database
    databases.drop(database)


def content(database: Database) -> dict[str, set[str]]:
    """All rows of all tables that a database really has, but for those of the engine and of Alembic."""
    with database.connection() as connection:
        names = set(inspect(connection).get_table_names()) - {"alembic_version", "ids"}
    return {name: {_plain(row) for row in database.rows(f"SELECT * FROM {name}")} for name in names}


def _plain(row: dict[str, Any]) -> str:
    return repr({name: int(value) if isinstance(value, bool) else value for name, value in sorted(row.items())})


def but_for_the_hold(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The content of a source that has moved, without the note that nothing is delivered from there any more."""
    facts = {fact for fact in found["installation"] if "deliveries_held_back" not in fact}
    assert len(found["installation"]) == len(facts) + 1
    return found | {"installation": facts}


def is_empty(database: Database) -> bool:
    """Whether it has no tables, or nothing in them."""
    return not any(content(database).values())


def refused(installation: Installation, target: Database) -> str:
    """Try to move, which must fail in one line, and return that line."""
    done = installation.run("move", "--to", target.url)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def moved(installation: Installation, target: Database) -> dict[str, Any]:
    """Move, which must succeed."""
    answer: dict[str, Any] = installation.cli("move", "--to", target.url)
    return answer


@pytest.mark.parametrize("name", ["postgresql", "postgres"])
def test_the_target_url_can_use_either_postgresql_scheme(name: str, source: Installation, target: Database) -> None:
    told = moved(source, Database(target.url.replace("postgresql:", f"{name}:", 1)))
    assert told["already"] is False


def test_a_move_copies_everything_and_keeps_the_source(source: Installation, target: Database) -> None:
    before = content(source.database)
    told = moved(source, target)
    assert content(target) == before
    assert but_for_the_hold(content(source.database)) == before
    assert told["already"] is False
    assert told["rows"] == {name: len(rows) for name, rows in before.items()}
    filled = {name for name, rows in before.items() if rows}
    assert {"messages", "events", "feeds", "deliveries", "delivery_queues", "webhooks", "idempotency_keys"} <= filled


def test_only_the_target_delivers_until_the_source_is_told_to(
    source: Installation, target: Database, tmp_path: Path
) -> None:
    moved(source, target)
    there = Installation(target, tmp_path, source.settings)
    assert "run the server on PostgreSQL" in source.run("doctor").stdout
    assert there.cli("webhooks", "resume")["resumed"] is False
    assert source.cli("webhooks", "resume")["resumed"] is True
    assert "run the server on PostgreSQL" not in source.run("doctor").stdout


def test_a_source_that_is_moved_again_holds_back_nothing_there(source: Installation, target: Database) -> None:
    source.database.change("INSERT INTO installation (name, value) VALUES ('deliveries_held_back', 'moved')")
    moved(source, target)
    assert content(target) == but_for_the_hold(content(source.database))


def test_messages_held_back_by_a_restore_stay_held_back_after_a_move(source: Installation, target: Database) -> None:
    source.database.change("INSERT INTO installation (name, value) VALUES ('deliveries_held_back', 'restored')")
    moved(source, target)
    assert target.value("SELECT value FROM installation WHERE name = 'deliveries_held_back'") == "restored"
    assert moved(source, target)["already"] is True


def test_every_table_is_moved(source: Installation, target: Database) -> None:
    assert {table.name for table in sqlite_to_postgres.tables()} == set(metadata.tables)
    told = moved(source, target)
    assert set(told["rows"]) == set(content(source.database)) == set(content(target))


def test_a_server_continues_on_the_target(
    source: Installation, people: World, target: Database, tmp_path: Path
) -> None:
    next_id = source.database.value("SELECT next_id FROM ids")
    (webhook_id,) = (row["id"] for row in source.database.rows("SELECT id FROM webhooks"))
    (known,) = source.database.rows("SELECT result_id FROM idempotency_keys WHERE key = 'key-3'")
    moved(source, target)
    there = Installation(target, tmp_path, source.settings)
    with there.serving(run_worker=False) as server:
        shop = Shop(server, people)
        assert int(shop.send()) >= next_id
        headers = {"token": people.token}
        hook = server.client.get(f"/api/webhooks/{webhook_id}", headers=headers)
        assert hook.status_code == 200, hook.text
        log = server.client.get(f"/api/webhooks/{webhook_id}/deliveries", headers=headers)
        assert log.status_code == 200, log.text
        feed = server.client.get("/api/events", params={"after": 0}, headers=headers).json()["events"]
        positions = [int(event["position"]) for event in feed]
        assert positions == list(range(1, len(positions) + 1))
        assert len(positions) > 40
        answer = shop.post(
            {"customerThreadId": str(known["result_id"]), "text": "Still here."},
            path="/api/send-message-to-customer-thread",
        )
        assert answer.status_code == 200, answer.text


def test_a_move_killed_before_any_step_leaves_nothing_and_can_be_repeated(
    source: Installation, target: Database
) -> None:
    before = content(source.database)
    command = [sys.executable, "-c", MOVE_AND_DIE]
    kills = 0
    for left in range(0, 10_000, 23):
        done = subprocess.run(
            [*command, str(left), target.url],
            cwd=source.folder,
            env=source.environment,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        wait_until_left(target)
        assert is_empty(target)
        kills += 1
    assert kills >= 3
    assert content(target) == before == but_for_the_hold(content(source.database))


def test_a_move_killed_at_any_moment_has_moved_all_or_nothing(source: Installation, target: Database) -> None:
    before, chosen, kills = content(source.database), random.Random(20), 0
    began_s = time.monotonic()
    assert "moved" in moved(source, target)
    whole_s = time.monotonic() - began_s
    with target.connection() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    while is_empty(target):
        with (source.folder / "move.log").open("wb") as log:
            command = preloaded.start(
                preloaded.PROGRAM,
                ["move", "--to", target.url],
                cwd=source.folder,
                env=source.environment,
                output=log,
                errors=subprocess.STDOUT,
            )
        try:
            # Each is given a little longer than the one before: the first is killed however much faster the machine has
            # become since the whole was timed, and the last gets to its end however much slower.
            command.wait(whole_s * (kills + chosen.random()) / 8)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
            wait_until_left(target)
            kills += 1
        assert is_empty(target) or content(target) == before
    assert kills > 0
    assert moved(source, target)["already"] is True


def test_a_completed_move_is_recognised(source: Installation, target: Database) -> None:
    moved(source, target)
    again = source.run("move", "--to", target.url)
    assert again.returncode == 0, again.stderr
    assert "are there already" in again.stdout
    assert moved(source, target)["already"] is True


def test_messages_of_a_move_name_the_settings_and_no_secret(source: Installation, target: Database) -> None:
    done = source.run("move", "--to", target.url)
    assert done.returncode == 0, done.stderr
    for name in ("SHOPBELL_DATABASE_URL", "SHOPBELL_SECRET_KEY", "SHOPBELL_ATTACHMENTS_URL=file:///"):
        assert name in done.stdout
    assert source.environment["SHOPBELL_SECRET_KEY"] not in done.stdout + done.stderr
    assert target.url not in done.stdout + done.stderr


def test_a_target_with_an_installation_in_it_is_refused(source: Installation, target: Database, tmp_path: Path) -> None:
    there = Installation(target, tmp_path, source.settings)
    there.cli("migrate")
    there.cli("organization", "create", "Somebody's")
    before = content(target)
    assert "the target already contains an installation" in refused(source, target)
    assert content(target) == before


def test_a_target_with_newer_data_is_refused(source: Installation, target: Database) -> None:
    moved(source, target)
    assert target.change("UPDATE businesses SET name = 'Changed since'") > 0
    before = content(target)
    assert "the target already contains an installation" in refused(source, target)
    assert content(target) == before


def test_a_target_with_something_else_in_it_is_refused(source: Installation, target: Database) -> None:
    target.change("CREATE TABLE recipes (name TEXT)")
    assert "not a Shopbell database" in refused(source, target)
    assert set(content(target)) == {"recipes"}


def test_a_server_started_on_an_empty_target_does_not_prevent_a_move(
    source: Installation, target: Database, tmp_path: Path
) -> None:
    with Installation(target, tmp_path, source.settings).serving(run_worker=False):
        pass
    assert not is_empty(target), "its fingerprint is there"
    moved(source, target)
    assert content(target) == but_for_the_hold(content(source.database))


def test_a_target_that_was_used_with_another_secret_key_is_refused(
    source: Installation, target: Database, tmp_path: Path
) -> None:
    other = dict(source.settings) | {"SHOPBELL_SECRET_KEY": "another-secret-key-" + "0" * 32}
    with Installation(target, tmp_path, other).serving(run_worker=False):
        pass
    assert "another secret key" in refused(source, target)


def test_a_source_with_another_secret_key_is_refused(source: Installation, target: Database) -> None:
    source.settings = dict(source.settings) | {"SHOPBELL_SECRET_KEY": "another-secret-key-" + "0" * 32}
    assert "the secret key does not belong" in refused(source, target)
    source.settings = dict(source.settings) | {"SHOPBELL_SECRET_KEY": ""}
    assert "the secret key is missing" in refused(source, target)
    assert is_empty(target)


def test_a_move_is_refused_while_a_server_runs_on_either(
    source: Installation, target: Database, tmp_path: Path
) -> None:
    with source.serving(run_worker=False):
        assert "a server is running" in refused(source, target)
    with Installation(target, tmp_path, source.settings).serving(run_worker=False):
        assert "a server is running" in refused(source, target)
    moved(source, target)


@pytest.mark.parametrize("to", ["sqlite:///other.db", "mysql://somewhere/x", "nonsense", "postgresql://u:hunter2@[/x"])
def test_a_target_that_is_not_postgresql_is_refused(source: Installation, to: str) -> None:
    done = source.run("move", "--to", to)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "hunter2" not in done.stderr


def test_a_row_that_postgresql_cannot_store_is_reported_by_table_only(source: Installation, target: Database) -> None:
    source.database.change("UPDATE messages SET body = 'canary' || char(0) WHERE sequence = 1")
    line = refused(source, target)
    assert "PostgreSQL cannot store a row of messages" in line
    assert "canary" not in line
    assert is_empty(target)


def test_rows_changed_in_transit_are_detected(source: Installation, target: Database, tmp_path: Path) -> None:
    Installation(target, tmp_path, source.settings).cli("migrate")
    with target.connection() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN IF NEW.sequence = 2 THEN NEW.body = 'spoilt'; END IF; RETURN NEW; END$$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER spoil BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    assert "the copy of messages differs from the source" in refused(source, target)
    assert is_empty(target)
