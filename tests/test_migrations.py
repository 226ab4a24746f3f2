"""Migrations make what the schema says, once, whole or not at all, and leave alone what is not theirs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect, make_url

from conftest import Databases
from harness.installation import Database, Installation
from shopbell.errors import CommandError
from shopbell.settings import load
from shopbell.storage import migrate as migration
from shopbell.storage.database import Database as OpenDatabase
from shopbell.storage.migrate import State, migrate, state
from shopbell.storage.open import connect_database, open_database
from shopbell.storage.schema import metadata

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


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
def next_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes this process a later version, which has one more migration."""

    def become(then: str = "pass") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(Path(migration.__file__).parent / "migrations", folder, dirs_exist_ok=True)
        (folder / "versions" / "v0003_next.py").write_text(NEXT.format(then=then))
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
