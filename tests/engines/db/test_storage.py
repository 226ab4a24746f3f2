"""What both engines guarantee: errors, races and URL options."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, text

from harness import raw
from harness.installation import PLENTY, SECRET_KEY, Database, Installation
from harness.record import small_world
from harness.world import World
from shopbell.conversations.idempotency import IDEMPOTENCY_MS
from shopbell.conversations.messages import Outcome, Send, Sent, create_customer_messages
from shopbell.db import installation as facts
from shopbell.db.postgres import CONNECTIONS_MAX, PostgresDatabase
from shopbell.db.program import Program
from shopbell.db.rowset import Row
from shopbell.db.sqlite import SqliteDatabase, connect
from shopbell.errors import CommandError, StorageError
from shopbell.http.widget import ROUTE
from shopbell.security.keys import Keys

only_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

OURS, OTHERS = Keys((b"ours-" * 8,)), Keys((b"others-" * 8,))


def _one(tx: Connection) -> Any:
    return tx.execute(text("SELECT 1")).scalar_one()


@contextmanager
def _postgresql(database: Database) -> Iterator[PostgresDatabase]:
    opened = PostgresDatabase(make_url(database.url).set(drivername="postgresql+psycopg"))
    try:
        yield opened
    finally:
        opened.engine.dispose()


def test_a_folder_that_cannot_be_created_is_a_database_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "shopbell.db"

    async def run() -> None:
        database = SqliteDatabase(path)
        for work in (
            database.read(_one),
            database.write(_one),
            database.run(lambda: create_customer_messages([])),
        ):
            with pytest.raises(StorageError, match="the database failed"):
                await work
        await database.close()

    asyncio.run(run())
    done = Installation(Database(f"sqlite:///{path}"), tmp_path).run("migrate")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.startswith("shopbell: the database failed")) == (1, True), line
    assert str(path.parent) in line


def test_a_writer_gets_a_turn_beside_one_that_rarely_releases_the_lock(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "shopbell.db")
    server, held, enough = connect(database.path), Event(), Event()

    def write_batches() -> None:  # as a server does on a slow disk
        while not enough.is_set():
            server.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(0.1)
            held.clear()
            server.execute("COMMIT")
            time.sleep(0.0005)

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_batches)
        try:
            for _ in range(8):
                assert held.wait(60)
                assert database.write_now(_one) == 1
        finally:
            enough.set()
            writing.result()
            server.close()
            asyncio.run(database.close())


@only_postgresql
def test_waiting_too_long_for_a_connection_is_a_database_error(fresh_installation: Installation) -> None:
    with _postgresql(fresh_installation.database) as database:
        with ExitStack() as stack:
            for _ in range(CONNECTIONS_MAX):
                stack.enter_context(database.engine.connect())
            for work in (database.read_now, database.write_now):
                with pytest.raises(StorageError, match=r"the database failed \(TimeoutError: QueuePool limit[^)]*\)$"):
                    work(_one)
        assert database.read_now(_one) == 1


@only_postgresql
def test_a_read_leaves_statements_prepared_and_their_plans_depend_on_the_values(
    fresh_installation: Installation,
) -> None:
    def double(tx: Connection) -> Any:
        return tx.scalar(text("SELECT 2 * CAST(:number AS int)"), {"number": 21})

    prepared = "SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT 2 %'"
    with _postgresql(fresh_installation.database) as database:
        for _ in range(20):
            assert database.read_now(double) == database.write_now(double) == 42
        assert database.read_now(lambda tx: list(tx.scalars(text(prepared)))) == [0]


@only_postgresql
@pytest.mark.parametrize("second", [OURS, OTHERS], ids=["one key", "two keys"])
def test_of_two_concurrent_first_starts_the_second_compares_its_key(
    fresh_installation: Installation, second: Keys
) -> None:
    def waiting() -> Any:
        return fresh_installation.database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )

    with _postgresql(fresh_installation.database) as database, ThreadPoolExecutor(1) as other:
        with database.engine.begin() as first:
            facts.adopt_key(first, OURS)
            late = other.submit(database.write_now, facts.adopt_key, second)
            _until(lambda: waiting() == 1)
        if second is OURS:
            late.result(timeout=60)
        else:
            with pytest.raises(CommandError, match="does not belong to this database"):
                late.result(timeout=60)
        assert database.read_now(facts.key_matches, OURS)
        assert not database.read_now(facts.key_matches, OTHERS)


def _until(reached: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


async def _pausing(
    database: PostgresDatabase, program: Callable[[], Program[list[Outcome]]], reached: asyncio.Event, go: asyncio.Event
) -> list[Outcome]:
    """Run a program; the first time it has read, it says so, and goes on only when told."""
    begun = program()

    async def rows_of(statement: Any, arguments: Any) -> list[Row]:
        return await database.run(lambda: _single(statement, arguments))

    rows = await rows_of(*next(begun))
    reached.set()
    await go.wait()
    while True:
        try:
            rows = await rows_of(*begun.send(rows))
        except StopIteration as end:
            result: list[Outcome] = end.value
            return result
        except StorageError:  # it lost a race each time: the program is run again, as the database would
            return await database.run(program)


def _single(statement: Any, arguments: Any) -> Program[list[Row]]:
    return (yield statement, arguments)


@only_postgresql
def test_an_expired_key_reused_by_two_processes_has_one_effect(installation: Installation, people: World) -> None:
    acme, key = int(people.acme), (int(people.acme), int(people.token_id), ROUTE, "again")
    email = ((acme, "email", "carol@example.com"), "carol@example.com")
    send = Send(acme, int(people.boston), "hello", (email,), key=key, body_hash="0" * 64)
    with _postgresql(installation.database) as one, _postgresql(installation.database) as two:

        async def run() -> tuple[list[Outcome], list[Outcome]]:
            await one.run(lambda: create_customer_messages([send]))
            installation.database.change(
                "UPDATE idempotency_keys SET created_at_ms = created_at_ms - :age", age=IDEMPOTENCY_MS
            )
            reached, go = asyncio.Event(), asyncio.Event()
            late = asyncio.create_task(_pausing(two, lambda: create_customer_messages([send]), reached, go))
            await reached.wait()
            first = await one.run(lambda: create_customer_messages([send]))
            go.set()
            second = await late
            await one.close()
            await two.close()
            return first, second

        [first], [second] = asyncio.run(run())
    assert isinstance(first, Sent)
    assert (first.replayed, second) == (False, Sent(first.thread_id, replayed=True))
    assert installation.database.value("SELECT count(*) FROM messages") == 2
    assert installation.database.value("SELECT count(*) FROM idempotency_keys") == 1


@only_postgresql
def test_url_options_apply_to_every_connection_but_cannot_weaken_durability(
    fresh_installation: Installation, tmp_path: Path
) -> None:
    database = fresh_installation.database
    database.change("CREATE SCHEMA shop")
    options = {"options": "-c search_path=shop -c synchronous_commit=off"}
    given = Database(make_url(database.url).update_query_dict(options).render_as_string(hide_password=False))
    shop = Installation(given, tmp_path, PLENTY | {"SHOPBELL_SECRET_KEY": SECRET_KEY})
    record = small_world(shop)
    with shop.serving() as server:
        assert raw.exchange(server.port, record.next().request, timeout_s=30).status == 200
    assert database.value("SELECT count(*) FROM shop.messages") == 1
    assert database.value("SELECT count(*) FROM public.organizations") == 0
    with _postgresql(given) as opened:
        assert opened.read_now(lambda tx: tx.execute(text("SHOW synchronous_commit")).scalar_one()) == "on"
