"""SQLite files are created once and checked at every transaction."""

import asyncio
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from shopbell.db.connect import connect_database
from shopbell.db.instance_lock import exclusive_lock, shared_lock
from shopbell.db.program import Program, Statement
from shopbell.db.rowset import PostgresStatement
from shopbell.db.sqlite import SqliteDatabase, connect
from shopbell.db.sqlite_files import files_of, open_lock_file
from shopbell.errors import CommandError, StorageError
from shopbell.settings.settings import load

INSERT = "INSERT INTO notes VALUES ('hello')"
MOVED = "was moved, replaced or deleted"
each_file = pytest.mark.parametrize("number", range(3), ids=["database", "log", "index"])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A database with one table, open."""
    opened = SqliteDatabase(tmp_path / "shopbell.db")
    opened.write_now(lambda tx: tx.execute(text("CREATE TABLE notes (note TEXT)")))
    yield opened
    asyncio.run(opened.close())


def _away(path: Path) -> Path:
    return path.with_name(f"{path.name}.away")


def _count(tx: Connection) -> Any:
    return tx.execute(text("SELECT count(*) FROM notes")).scalar_one()


def _insert(tx: Connection, then: Callable[[], object]) -> None:
    tx.execute(text(INSERT))
    then()


def _insert_in_batch(then: Callable[[], object]) -> Program[None]:
    yield Statement(lambda cursor, _: cursor.execute(INSERT), PostgresStatement((), "")), {}
    then()


@each_file
def test_a_transaction_in_which_a_file_is_moved_is_not_confirmed(database: SqliteDatabase, number: int) -> None:
    path = files_of(database.path)[number]
    with pytest.raises(StorageError, match=MOVED):
        database.write_now(_insert, lambda: path.rename(_away(path)))
    _away(path).rename(path)
    database.write_now(_insert, lambda: None)


@each_file
def test_a_batch_in_which_a_file_is_moved_is_not_confirmed(database: SqliteDatabase, number: int) -> None:
    path = files_of(database.path)[number]

    async def run() -> None:
        await database.run(lambda: _insert_in_batch(lambda: None))
        with pytest.raises(StorageError, match=MOVED):
            await database.run(lambda: _insert_in_batch(lambda: path.rename(_away(path))))
        stored = _away(path).stat()
        # What follows is not even tried.
        with pytest.raises(StorageError, match=MOVED):
            await database.run(lambda: _insert_in_batch(lambda: None))
        assert (_away(path).stat().st_mtime_ns, path.exists()) == (stored.st_mtime_ns, False)
        _away(path).rename(path)
        await database.run(lambda: _insert_in_batch(lambda: None))

    asyncio.run(run())
    assert database.read_now(_count) == 3


@each_file
def test_nothing_is_read_or_started_while_a_file_is_missing(database: SqliteDatabase, number: int) -> None:
    path = files_of(database.path)[number]
    path.rename(_away(path))
    begun: list[str] = []
    for work in (
        lambda: database.read_now(_count),
        lambda: database.snapshot_now(_count),
        lambda: database.write_now(_insert, lambda: begun.append("a transaction")),
        database.connect,
    ):
        with pytest.raises(StorageError, match=MOVED):
            work()
    assert (begun, path.exists()) == ([], False)
    _away(path).rename(path)
    assert database.read_now(_count) == 0


def test_a_symbolic_link_changed_to_another_database_is_noticed(tmp_path: Path) -> None:
    link = tmp_path / "link" / "shopbell.db"
    link.parent.mkdir()
    for name in ("one.db", "two.db"):
        connect(tmp_path / name).close()
    link.symlink_to(tmp_path / "one.db")
    database = SqliteDatabase(link)
    try:
        database.write_now(lambda tx: tx.execute(text("CREATE TABLE notes (note TEXT)")))
        assert (tmp_path / "one.db-wal").exists()
        link.unlink()
        link.symlink_to(tmp_path / "two.db")
        with pytest.raises(StorageError, match=MOVED):
            database.read_now(_count)
    finally:
        asyncio.run(database.close())


def test_closing_the_last_connection_checkpoints_the_log(database: SqliteDatabase) -> None:
    database.write_now(_insert, lambda: None)
    database.engine.dispose()
    assert [path.exists() for path in files_of(database.path)] == [True, False, False]
    assert database.read_now(_count) == 1


@pytest.mark.parametrize("is_link", [False, True], ids=["absent", "a link to nothing"])
def test_files_are_created_readable_by_their_owner_only(tmp_path: Path, is_link: bool) -> None:
    path = tmp_path / "shopbell.db"
    if is_link:
        path.symlink_to(tmp_path / "target.db")
    mask = os.umask(0)
    database = SqliteDatabase(path)
    try:
        database.read_now(lambda tx: tx.execute(text("SELECT 1")))
        assert {stat.S_IMODE(each.stat().st_mode) for each in files_of(path)} == {0o600}
    finally:
        os.umask(mask)
        asyncio.run(database.close())


def test_a_missing_database_with_a_write_ahead_log_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "shopbell.db"
    log = files_of(path)[1]
    log.write_bytes(b"messages")
    with pytest.raises(StorageError, match=r"its log .* exists and may contain messages; put the database back"):
        connect(path)
    assert (path.exists(), log.read_bytes()) == (False, b"messages")
    log.write_bytes(b"")
    connect(path).close()


@pytest.mark.parametrize("use", [shared_lock, exclusive_lock], ids=["server", "restore"])
def test_a_missing_database_in_use_is_not_created(tmp_path: Path, use: Any) -> None:
    path = tmp_path / "shopbell.db"
    with use(SqliteDatabase(path)):
        path.unlink(missing_ok=True)
        with pytest.raises(StorageError, match="a server, worker or restore is using it; put it back"):
            connect(path)
        assert not path.exists()
    connect(path).close()


def test_a_server_starts_while_another_creates_the_database(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating = open_lock_file(database.path)
    fcntl.flock(creating, fcntl.LOCK_EX)
    monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(creating, fcntl.LOCK_UN))
    with shared_lock(database), pytest.raises(CommandError, match="a server is running"), exclusive_lock(database):
        pass
    os.close(creating)


def test_an_unwritable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shopbell.db"
    connect(path).close()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(StorageError, match=r"Permission denied: '.*shopbell\.db'"):
        SqliteDatabase(path).read_now(_count)


def test_each_connection_has_a_page_cache_of_the_size_that_is_set(tmp_path: Path) -> None:
    database = connect_database(load(database_url=f"sqlite:///{tmp_path / 'shopbell.db'}", sqlite_cache_mb=3))
    assert isinstance(database, SqliteDatabase)
    connection = database.connect()
    assert connection.execute("PRAGMA cache_size").fetchone() == (-3 * 1024,)
    connection.close()
    assert database.read_now(lambda tx: tx.execute(text("PRAGMA cache_size")).scalar_one()) == -3 * 1024
    asyncio.run(database.close())
