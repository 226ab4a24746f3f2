"""Migrations create the schema completely or not at all."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import PrimaryKeyConstraint, inspect, make_url, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from harness.databases import Databases
from harness.installation import Database, Installation
from harness.later_version import ADDED_TABLE, become_later_version
from harness.schema import FUNCTIONS, described, live_schema
from harness.waiting import wait_until
from shopbell.db.connect import connect_database, open_database
from shopbell.db.database import Database as OpenDatabase
from shopbell.db.migrate import MIGRATION_LOCK, State, migrate, state
from shopbell.db.new_migration import write_migration
from shopbell.db.schema.columns import id_, table
from shopbell.db.schema.core import metadata
from shopbell.errors import CommandError
from shopbell.settings.settings import load


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
def next_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes this process a later version, which has one more migration."""

    return partial(become_later_version, monkeypatch, tmp_path)


def _tables(database: Database) -> set[str]:
    with database.connection() as connection:
        return set(inspect(connection).get_table_names())


def test_the_migrations_create_exactly_the_schema(
    fresh_installation: Installation, engine: str, databases: Databases, tmp_path: Path
) -> None:
    assert described(fresh_installation.database) == live_schema(engine, databases, tmp_path), "a migration is missing"
    with fresh_installation.database.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, metadata)
    # The counter of ids is no table of the schema: PostgreSQL has a sequence for it.
    assert [each for each in differences if not (each[0] == "remove_table" and each[1].name == "ids")] == []


@pytest.mark.parametrize(
    ("on_sqlite", "on_postgresql"),
    [
        ("ALTER TABLE tags ADD COLUMN more TEXT", "ALTER TABLE tags ADD COLUMN more TEXT"),
        ("DROP INDEX ix_messages_external", "DROP INDEX ix_messages_external"),
        (
            "CREATE TRIGGER more AFTER INSERT ON tags BEGIN DELETE FROM tags; END",
            "CREATE TRIGGER more AFTER UPDATE ON tags EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ),
        ("CREATE TABLE more (id INTEGER)", "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ],
    ids=["column", "index", "trigger", "another"],
)
def test_a_difference_of_the_schema_is_found_control(
    fresh_installation: Installation, on_sqlite: str, on_postgresql: str
) -> None:
    database = fresh_installation.database
    before = described(database)
    database.change(on_sqlite if database.is_sqlite else on_postgresql)
    assert described(database) != before


def test_each_function_has_a_version_in_its_name() -> None:
    for file in FUNCTIONS.iterdir():
        assert re.search(r"_v\d+$", file.stem)
        assert f"FUNCTION {file.stem}(" in file.read_text()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_sqlite_stores_rows_in_primary_key_order(fresh_installation: Installation) -> None:
    rows = fresh_installation.database.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    assert {row["name"] for row in rows if "WITHOUT ROWID" in row["sql"]} == set(metadata.tables)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_migration_waits_for_another_process_longer_than_for_a_table_lock(empty: Installation) -> None:
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


def test_a_server_migrates_an_empty_database(empty: Installation) -> None:
    with empty.serving():
        assert set(metadata.tables) < _tables(empty.database)


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("migrate",), ("organization", "create", "Acme")])
def test_a_newer_database_is_left_unchanged(fresh_installation: Installation, command: tuple[str, ...]) -> None:
    fresh_installation.database.change("UPDATE alembic_version SET version_num = '9999'")
    done = fresh_installation.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "newer than this version" in done.stderr
    assert fresh_installation.database.value("SELECT version_num FROM alembic_version") == "9999"
    assert fresh_installation.database.value("SELECT count(*) FROM organizations") == 0


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("migrate",)])
def test_a_database_of_another_program_is_left_unchanged(empty: Installation, command: tuple[str, ...]) -> None:
    if empty.database.is_sqlite:
        Path(make_url(empty.database.url).database or "").parent.mkdir()
    empty.database.change("CREATE TABLE recipes (name TEXT)")
    done = empty.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "not a Shopbell database" in done.stderr
    assert _tables(empty.database) == {"recipes"}


def test_an_empty_revision_table_means_a_database_of_another_program(fresh_installation: Installation) -> None:
    fresh_installation.database.change("DELETE FROM alembic_version")
    done = fresh_installation.run("migrate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a Shopbell database" in done.stderr


def test_an_older_database_is_reported_and_migrated(opened: OpenDatabase, next_version: Any) -> None:
    assert opened.read_now(state) is State.CURRENT
    next_version()
    assert opened.read_now(state) is State.OLDER
    with pytest.raises(CommandError, match="older than this version of Shopbell; make a backup"):
        open_database(load())
    assert migrate(opened) is State.OLDER
    assert opened.read_now(state) is State.CURRENT
    assert opened.read_now(lambda tx: ADDED_TABLE in inspect(tx).get_table_names())
    assert migrate(opened) is State.CURRENT


def test_a_failed_migration_leaves_nothing_behind(opened: OpenDatabase, next_version: Any) -> None:
    next_version(then="raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        migrate(opened)
    assert opened.read_now(state) is State.OLDER
    assert not opened.read_now(lambda tx: ADDED_TABLE in inspect(tx).get_table_names())


def test_a_migration_adds_a_known_value_and_keeps_the_rows(
    opened: OpenDatabase, fresh_installation: Installation, next_version: Any
) -> None:
    acme = fresh_installation.cli("organization", "create", "Acme")["id"]
    add = (
        "INSERT INTO webhooks "
        "(organization_id, id, url, enabled, topics, payload_version, sealed_secret, created_at_ms) "
        f"VALUES ({acme}, :id, 'https://example.com', true, 'messages', :version, '', 0)"
    )
    database = fresh_installation.database
    database.change(add, id=1, version="flat")
    database.change(f"INSERT INTO webhook_subscriptions VALUES ({acme}, 'messages', 1)")
    change = "change_known_values('webhooks', 'payload_version', ('envelope', 'flat', 'round'))"
    next_version(then=f"from shopbell.db.migrations.known_values import change_known_values\n    {change}")
    assert migrate(opened) is State.OLDER
    database.change(add, id=2, version="round")
    with pytest.raises(IntegrityError, match="ck_webhooks_payload_version_known"):
        database.change(add, id=3, version="square")
    assert database.rows("SELECT id, payload_version FROM webhooks ORDER BY id") == [
        {"id": 1, "payload_version": "flat"},
        {"id": 2, "payload_version": "round"},
    ]
    assert any("check of webhooks" in line and "'round'" in line for line in described(database))
    if database.is_sqlite:
        assert database.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        assert database.rows("PRAGMA foreign_key_check") == []


def test_a_migration_that_changes_an_unknown_constraint_fails(opened: OpenDatabase, next_version: Any) -> None:
    change = "change_known_values('webhooks', 'url', ('round',))"
    next_version(then=f"from shopbell.db.migrations.known_values import change_known_values\n    {change}")
    with pytest.raises((ValueError, ProgrammingError), match="ck_webhooks_url_known"):
        migrate(opened)
    assert opened.read_now(state) is State.OLDER


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_change_of_the_schema_becomes_the_next_migration(
    opened: OpenDatabase, next_version: Any, tmp_path: Path
) -> None:
    next_version()
    migrate(opened)
    later = table("written", id_("organization_id"), id_("id"), PrimaryKeyConstraint("organization_id", "id"))
    try:
        write_migration("Add more")
    finally:
        metadata.remove(later)
    written = tmp_path / "migrations" / "versions" / "v9999_add_more.py"
    assert "op.create_table('written'" in written.read_text()
    assert "'ids'" not in written.read_text()
    assert migrate(opened) is State.OLDER
    assert opened.read_now(lambda tx: "written" in inspect(tx).get_table_names())
