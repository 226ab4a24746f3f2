"""Concurrent migrations by processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect

from harness.databases import Databases
from harness.installation import Database, Installation
from shopbell.db.schema.core import metadata


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


def _tables(database: Database) -> set[str]:
    with database.connection() as connection:
        return set(inspect(connection).get_table_names())


def test_two_concurrent_migrations_both_succeed(empty: Installation) -> None:
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
