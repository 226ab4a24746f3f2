"""Servers and workers write nothing to a database that is being restored."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import installation
from harness.installation import SECRET_KEY, Installation
from harness.ports import free_port
from shopbell.db.connect import connect_database
from shopbell.db.database import Database
from shopbell.db.instance_lock import exclusive_lock
from shopbell.db.migrate import State, state
from shopbell.db.sqlite import SqliteDatabase
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from harness.databases import Databases


@pytest.fixture
def address(engine: str, databases: "Databases", tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if engine == "sqlite":
        (tmp_path / "shopbell.db").touch()  # during a restore, there is always a file
        yield f"sqlite:///{tmp_path}/shopbell.db"
    else:
        database = databases.empty()
        yield database.url
        databases.drop(database)


@pytest.fixture
def opened(address: str) -> Iterator[Database]:
    """The database, opened in this process."""
    database = connect_database(Settings(database_url=address, secret_key=SECRET_KEY))  # type: ignore[arg-type]
    yield database
    database.engine.dispose()


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_process_that_starts_during_a_restore_writes_nothing(
    opened: Database, address: str, tmp_path: Path, command: str
) -> None:
    empty = Installation(installation.Database(address), tmp_path)
    arguments = ["--port", free_port()] if command == "serve" else []
    with exclusive_lock(opened):
        done = empty.run(command, *arguments)
    assert (done.returncode, done.stderr) == (
        1,
        "shopbell: a restore of this database is running; start again when it is done\n",
    )
    if isinstance(opened, SqliteDatabase):
        assert opened.path.stat().st_size == 0
        assert not opened.path.with_name(f"{opened.path.name}-wal").exists()
    else:
        assert opened.read_now(state) is State.EMPTY
