"""Migrations make what the schema says, once, whole or not at all, and leave alone what is not theirs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, make_url, text

from conftest import Databases
from harness.installation import SECRET_KEY, Database, Installation
from harness.waiting import wait_until
from shopbell.errors import CommandError
from shopbell.keys import Keys
from shopbell.security import new_token, token_hash
from shopbell.settings import load
from shopbell.storage import migrate as migration
from shopbell.storage.database import Database as OpenDatabase
from shopbell.storage.migrate import MIGRATION_LOCK, State, migrate, state
from shopbell.storage.open import connect_database, open_database
from shopbell.storage.schema import metadata
from shopbell.tokens import KEY_PURPOSE

T_MS = 1_700_000_000_000
ACME, GLOBEX, BOSTON, LONDON = 12344, 20000, 12345, 20001
TOKEN_ID, CAROL, DAVE, STRANGER = 12347, 12350, 12360, 20010
CAROLS, DAVES, STRANGERS = 12351, 12361, 20011
FIRST_MESSAGES = (  # organization, thread, sequence, id, from the customer, text, time
    (ACME, CAROLS, 1, 12352, True, "Where is my order?", T_MS),
    (ACME, DAVES, 1, 12362, True, "Do you open on Sunday?", T_MS + 1_000),
    (GLOBEX, STRANGERS, 1, 20012, True, "Hello", T_MS + 2_000),
    (ACME, CAROLS, 2, 12370, True, "Hello?", T_MS + 3_000),
    (ACME, CAROLS, 3, 12372, False, "It is on its way.", T_MS + 4_000),
)

NEWEST = migration._revisions()[-1]
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("added_later", sa.Column("id", sa.BigInteger(), primary_key=True))
    {then}
"""


@pytest.fixture
def empty(engine: str, databases: Databases, tmp_path: Path) -> Iterator[Installation]:
    """A database with nothing in it at all."""
    if engine == "sqlite":
        yield Installation(Database(f"sqlite:///{tmp_path / 'data' / 'shopbell.db'}"), tmp_path)
        return
    name = f"empty_{databases.worker}_{tmp_path.name}".lower()[:60]
    databases.postgres().command(f'CREATE DATABASE "{name}"')
    database = Database(databases.postgres().url(name))
    yield Installation(database, tmp_path)
    databases.drop(database)


@pytest.fixture
def opened(fresh_installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenDatabase]:
    """A migrated database, opened in this process."""
    for name, value in fresh_installation.environment.items():
        monkeypatch.setenv(name, value)
    database = connect_database(load())
    yield database
    database.engine.dispose()


@pytest.fixture
def opened_again(first_version: tuple[Installation, str]) -> Iterator[OpenDatabase]:
    """The database of the first version, opened in this process."""
    database = connect_database(load())
    yield database
    database.engine.dispose()


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes this process a later version, which has one more migration."""

    def become(then: str = "pass") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(Path(migration.__file__).parent / "migrations", folder, dirs_exist_ok=True)
        (folder / "versions" / "v9998_next.py").write_text(NEXT.format(newest=NEWEST, then=then))
        monkeypatch.setattr(migration, "MIGRATIONS", folder)

    return become


def _tables(database: Database) -> set[str]:
    with database.connection() as connection:
        return set(inspect(connection).get_table_names())


def test_the_migrations_make_exactly_what_the_schema_says(fresh_installation: Installation) -> None:
    with fresh_installation.database.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, metadata)
        checks = {
            (name, check["name"])
            for name in inspect(connection).get_table_names()
            for check in inspect(connection).get_check_constraints(name)
        }
    # The counter of ids is no table of the schema: PostgreSQL has a sequence for it.
    assert [each for each in differences if not (each[0] == "remove_table" and each[1].name == "ids")] == []
    assert checks == {
        (table.name, str(constraint.name))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_on_sqlite_rows_lie_in_the_order_of_their_keys(fresh_installation: Installation) -> None:
    rows = fresh_installation.database.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    assert {row["name"] for row in rows if "WITHOUT ROWID" in row["sql"]} == set(metadata.tables)


def test_two_processes_that_migrate_at_once_both_succeed(empty: Installation) -> None:
    command = [sys.executable, "-m", "shopbell", "migrate", "--json"]
    both = [
        subprocess.Popen(
            command, cwd=empty.folder, env=empty.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(json.loads(output)["before"] for output, _ in outputs) == ["current", "empty"]
    assert set(metadata.tables) < _tables(empty.database)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_who_migrates_waits_for_another_for_longer_than_for_a_table(empty: Installation) -> None:
    long_waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' "
        "AND state_change < clock_timestamp() - interval '5 seconds'"
    )
    with ThreadPoolExecutor(1) as threads:
        with empty.database.connection() as another:
            another.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            migrating = threads.submit(empty.cli, "migrate")
            wait_until(lambda: migrating.done() or empty.database.value(long_waits), lambda: "it does not wait")
        assert migrating.result(timeout=60)["before"] == "empty"


def test_a_server_gives_an_empty_database_its_tables(empty: Installation) -> None:
    with empty.serving():
        assert set(metadata.tables) < _tables(empty.database)


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("migrate",), ("organization", "create", "Acme")])
def test_a_newer_database_is_left_alone(fresh_installation: Installation, command: tuple[str, ...]) -> None:
    fresh_installation.database.change("UPDATE alembic_version SET version_num = '9999'")
    done = fresh_installation.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "newer than this version" in done.stderr
    assert fresh_installation.database.value("SELECT version_num FROM alembic_version") == "9999"
    assert fresh_installation.database.value("SELECT count(*) FROM organizations") == 0


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("migrate",)])
def test_somebody_elses_database_is_left_alone(empty: Installation, command: tuple[str, ...]) -> None:
    if empty.database.is_sqlite:
        Path(make_url(empty.database.url).database or "").parent.mkdir()
    empty.database.change("CREATE TABLE recipes (name TEXT)")
    done = empty.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "not Shopbell's" in done.stderr
    assert _tables(empty.database) == {"recipes"}


def test_an_empty_table_of_revisions_is_somebody_elses(fresh_installation: Installation) -> None:
    fresh_installation.database.change("DELETE FROM alembic_version")
    done = fresh_installation.run("migrate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not Shopbell's" in done.stderr


def test_an_older_database_is_told_and_then_migrated(opened: OpenDatabase, next_version: Any) -> None:
    assert opened.read_now(state) is State.CURRENT
    next_version()
    assert opened.read_now(state) is State.OLDER
    with pytest.raises(CommandError, match="older than this version; make a backup, then run `shopbell migrate`"):
        open_database(load())
    assert migrate(opened) is State.OLDER
    assert opened.read_now(state) is State.CURRENT
    assert opened.read_now(lambda tx: "added_later" in inspect(tx).get_table_names())
    assert migrate(opened) is State.CURRENT


def test_a_migration_that_fails_leaves_nothing_behind(opened: OpenDatabase, next_version: Any) -> None:
    next_version(then="raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        migrate(opened)
    assert opened.read_now(state) is State.OLDER
    assert not opened.read_now(lambda tx: "added_later" in inspect(tx).get_table_names())


def _upgrade(tx: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migration.MIGRATIONS))
    config.attributes["connection"] = tx
    command.upgrade(config, revision)


def _fill_first_version(tx: Connection, token: str) -> None:
    """Put conversations into a database as the first version made it, by statements of that time."""

    def insert(table: str, columns: str, *rows: tuple[object, ...]) -> None:
        names = columns.split()
        values = ", ".join(f":{name}" for name in names)
        tx.execute(
            text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"),
            [dict(zip(names, row, strict=True)) for row in rows],
        )

    (key,) = Keys((SECRET_KEY.encode(),)).derive(KEY_PURPOSE)
    hashed = token_hash(key, token)
    insert("organizations", "id name created_at_ms", (ACME, "Acme", T_MS), (GLOBEX, "Globex", T_MS))
    insert(
        "businesses",
        "organization_id id name locale default_region time_zone created_at_ms",
        (ACME, BOSTON, "Acme Boston", "en-US", "US", "UTC", T_MS),
        (GLOBEX, LONDON, "London", "en", "GB", "UTC", T_MS),
    )
    insert(
        "api_tokens",
        "organization_id id name token_hash hint scopes created_at_ms",
        (ACME, TOKEN_ID, "website", hashed, token[-4:], "widget:send threads:read threads:write", T_MS),
    )
    people = ((ACME, CAROL, CAROLS, BOSTON), (ACME, DAVE, DAVES, BOSTON), (GLOBEX, STRANGER, STRANGERS, LONDON))
    for organization, customer, thread, business in people:
        address = f"{customer}@example.com"
        insert("customers", "organization_id id created_at_ms", (organization, customer, T_MS))
        insert(
            "customer_identities",
            "organization_id kind value customer_id shown created_at_ms",
            (organization, "email", address, customer, address, T_MS),
        )
        own = [row for row in FIRST_MESSAGES if row[1] == thread]
        insert(
            "threads",
            "organization_id id customer_id business_id channel status last_sequence created_at_ms updated_at_ms",
            (organization, thread, customer, business, "WEB", "waiting", len(own), T_MS, own[-1][6]),
        )
    insert("messages", "organization_id thread_id sequence id from_customer body created_at_ms", *FIRST_MESSAGES)
    of_thread = {thread: (business, customer) for _, customer, thread, business in people}
    insert(
        "events",
        "organization_id id type business_id customer_id thread_id message_id created_at_ms",
        *(
            (organization, id_ + 1, "message", *of_thread[thread], thread, id_, at_ms)
            for organization, thread, _, id_, _, _, at_ms in FIRST_MESSAGES
        ),
    )
    insert(
        "idempotency_keys",
        "organization_id token_id route key body_hash result_id created_at_ms",
        (ACME, TOKEN_ID, "widget", "a key", "0" * 64, CAROLS, T_MS),
    )
    sqlite = tx.dialect.name == "sqlite"
    tx.execute(text("UPDATE ids SET next_id = 30000" if sqlite else "ALTER SEQUENCE ids RESTART WITH 30000"))


@pytest.fixture
def first_version(empty: Installation, monkeypatch: pytest.MonkeyPatch) -> tuple[Installation, str]:
    """An installation as the first version left it, and its token."""
    for name, value in empty.environment.items():
        monkeypatch.setenv(name, value)
    token = new_token()
    database = connect_database(load())
    try:
        database.write_now(_upgrade, "0001")
        database.write_now(_fill_first_version, token)
    finally:
        database.engine.dispose()
    return empty, token


def test_what_the_first_version_left_is_numbered_and_filled(first_version: tuple[Installation, str]) -> None:
    installation, _ = first_version
    assert "older than this version" in installation.run("organization", "list").stderr
    before = {
        table: installation.database.rows(f"SELECT * FROM {table}")
        for table in ("organizations", "businesses", "api_tokens", "customers", "messages", "idempotency_keys")
    }
    assert installation.cli("migrate") == {"before": "older", "now": "current", "revision": NEWEST}
    events = installation.database.rows("SELECT * FROM events ORDER BY organization_id, position")
    assert [(row["organization_id"], row["position"], row["message_id"], row["thread_sequence"]) for row in events] == [
        (ACME, 1, 12352, 1),
        (ACME, 2, 12362, 1),
        (ACME, 3, 12370, 2),
        (ACME, 4, 12372, 3),
        (GLOBEX, 1, 20012, 1),
    ]
    assert {(row["type"], row["thread_id"], row["created_at_ms"]) for row in events} == {
        ("message", row[1], row[6]) for row in FIRST_MESSAGES
    }
    feeds = installation.database.rows("SELECT organization_id, last_position FROM feeds ORDER BY organization_id")
    assert [tuple(row.values()) for row in feeds] == [(ACME, 4), (GLOBEX, 1)]
    threads = installation.database.rows("SELECT id, last_customer_message_at_ms FROM threads ORDER BY id")
    assert [tuple(row.values()) for row in threads] == [
        (CAROLS, T_MS + 3_000),
        (DAVES, T_MS + 1_000),
        (STRANGERS, T_MS + 2_000),
    ]
    for table, rows in before.items():
        after = installation.database.rows(f"SELECT * FROM {table}")
        assert [{name: row[name] for name in rows[0]} for row in after] == rows


def test_a_conversation_by_mail_is_answered_at_the_sender_of_its_last_mail(
    first_version: tuple[Installation, str], opened_again: OpenDatabase
) -> None:
    installation, _ = first_version
    opened_again.write_now(_upgrade, "0004")
    for sender, message_id, is_foreign in (("old@", 12352, False), ("new@", 12370, False), ("eve@", 12372, True)):
        installation.database.change(
            "INSERT INTO mail_details (organization_id, message_id, thread_id, sender, foreign_sender)"
            " VALUES (:acme, :message, :thread, :sender, :foreign)",
            acme=ACME,
            message=message_id,
            thread=CAROLS,
            foreign=is_foreign,
            sender=f"{sender}example.com",
        )
    installation.database.change("UPDATE threads SET channel = 'EMAIL' WHERE organization_id = :acme", acme=ACME)
    installation.cli("migrate")
    rows = installation.database.rows("SELECT id, last_email, last_phone FROM threads ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        (CAROLS, "new@example.com", None),
        (DAVES, None, None),
        (STRANGERS, None, None),
    ]


def test_a_server_goes_on_with_what_the_first_version_left(first_version: tuple[Installation, str]) -> None:
    installation, token = first_version
    installation.cli("migrate")
    headers = {"token": token}
    with installation.serving() as server:
        body = {"businessId": str(BOSTON), "message": "Thank you", "user": {"email": f"{CAROL}@example.com"}}
        sent = server.client.post("/api/widget/send-message-to-business", json=body, headers=headers)
        assert (sent.status_code, sent.json()["customerThreadId"]) == (200, str(CAROLS)), sent.text
        said = server.client.get(f"/api/threads/{CAROLS}/messages", headers=headers).json()["messages"]
        assert [each["text"] for each in said] == ["Where is my order?", "Hello?", "It is on its way.", "Thank you"]
        feed = server.client.get("/api/events", params={"after": 2}, headers=headers).json()["events"]
        assert [each["position"] for each in feed] == [3, 4, 5]
        reply = {"customerThreadId": str(DAVES), "text": "We do."}
        answer = server.client.post("/api/send-message-to-customer-thread", json=reply, headers=headers)
        assert answer.status_code == 200, answer.text
        assert int(answer.json()["messageId"]) >= 30_000


def test_a_number_of_two_spellings_gets_its_key_and_two_holders_are_possible_duplicates(
    first_version: tuple[Installation, str], opened_again: OpenDatabase
) -> None:
    installation, _ = first_version
    opened_again.write_now(_upgrade, "0006")
    held = {"+551187654321": CAROL, "+5511987654321": DAVE, "+5491155551234": DAVE, "+16175550142": CAROL}
    for number, customer in held.items():
        installation.database.change(
            "INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)"
            " VALUES (:acme, 'phone', :number, :customer, :number, :at_ms)",
            acme=ACME,
            number=number,
            customer=customer,
            at_ms=T_MS,
        )
    installation.cli("migrate")
    rows = installation.database.rows(
        "SELECT value, customer_id FROM customer_identities WHERE kind = 'phone' ORDER BY value"
    )
    assert sorted(tuple(row.values()) for row in rows) == [
        ("+16175550142", CAROL),
        ("+541155551234", DAVE),
        ("+551187654321", CAROL),
        ("+5511987654321", DAVE),
    ]
    rows = installation.database.rows("SELECT customer_id, other_customer_id FROM possible_duplicates")
    assert [tuple(row.values()) for row in rows] == [(CAROL, DAVE)]
