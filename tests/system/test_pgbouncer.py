"""PostgreSQL behind PgBouncer."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import DiagnosticField
from sqlalchemy import Connection, make_url, text

from harness import raw
from harness.databases import Databases, SharedPostgres
from harness.failing_receivers import Receivers
from harness.installation import SECRET_KEY, Database, Installation
from harness.load import send_all
from harness.pgbouncer import POOL_SIZE, Pgbouncer
from harness.postgres import Postgres
from harness.record import Load, Record, examine, small_world
from harness.several import (
    LOOKS_SELDOM,
    REPLY,
    SELDOM_POLL_S,
    SLOWEST_POLL_S,
    delivered,
    is_woken,
    subscribe,
)
from harness.shop import Shop
from harness.streams import following
from harness.workers import WorkerProcess
from harness.world import World
from shopbell.db.connect import connect_database
from shopbell.db.program import Program, Statement
from shopbell.db.rowset import PostgresStatement
from shopbell.settings.settings import load

StartPooler = Callable[..., Pgbouncer]

SENDS = 300
BACK_WITHIN_S = 60
REFUSED = "shopbell: SHOPBELL_DATABASE_URL goes through a connection pooler"
DIRECT_URL = "SHOPBELL_DATABASE_DIRECT_URL"


@pytest.fixture
def engine() -> str:
    """PostgreSQL, because SQLite has no pooler."""
    return "postgresql"


def through(pooler: Pgbouncer, installation: Installation, **settings: str) -> Installation:
    """The same installation through a pooler."""
    name = make_url(installation.database.url).database or ""
    return Installation(
        Database(pooler.url(name)), installation.folder, {**installation.settings, **settings}, LOOKS_SELDOM
    )


def supported(pooler: Pgbouncer, installation: Installation, **settings: str) -> Installation:
    """The same installation through a pooler, set up as documented."""
    return through(pooler, installation, **{DIRECT_URL: installation.database.url, **settings})


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers of webhooks."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


@pytest.mark.parametrize("ignored", ["extra_float_digits", "options"], ids=["settings refused", "settings ignored"])
def test_a_pooler_is_refused_without_a_direct_address(
    ignored: str, installation: Installation, pgbouncer: StartPooler, shared_postgres: SharedPostgres, tmp_path: Path
) -> None:
    path = f"{shared_postgres.binaries}{os.pathsep}{os.environ['PATH']}"
    installation.settings = {**installation.settings, "PATH": path}
    backup = tmp_path / "shop.backup"
    installation.cli("backup", backup)
    behind = through(pgbouncer(ignore_startup_parameters=ignored), installation)
    commands = (
        ["serve", "--port", "0"],
        ["worker"],
        ["migrate"],
        ["token", "list"],
        ["backup", "other"],
        ["restore", str(backup)],
    )
    for command in commands:
        done = behind.run(*command)
        assert (done.returncode, done.stdout) == (1, ""), command
        assert done.stderr.startswith(REFUSED), command
        assert DIRECT_URL in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_move_through_a_pooler_is_refused(databases: Databases, pgbouncer: StartPooler, tmp_path: Path) -> None:
    source = Installation(databases.copy("sqlite", "world"), tmp_path)
    target = databases.empty()
    pooler = pgbouncer(ignore_startup_parameters="options")
    done = source.run("move", "--to", pooler.url(make_url(target.url).database or ""))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "shopbell: --to goes through a connection pooler; set it to the address of PostgreSQL itself\n"
    )
    pooler.stop()
    databases.drop(target)
    databases.drop(source.database)


def test_everything_works_through_a_small_pool_with_a_direct_address(
    installation: Installation, people: World, pgbouncer: StartPooler, receivers: Receivers
) -> None:
    pooler = pgbouncer()
    behind = supported(pooler, installation, SHOPBELL_OUTBOUND_ALLOW="127.0.0.0/8")
    receiver = receivers.add()
    with behind.serving("--workers", "2", poll_interval_s=SLOWEST_POLL_S) as server, ExitStack() as stack:
        shop = Shop(server, people)
        worker = WorkerProcess(behind)
        stack.callback(worker.stop)
        worker.wait_until_started()
        hook = subscribe(shop, receiver)
        stream = stack.enter_context(following(shop))
        stream.until_ready()
        record = Record(people.token, (people.boston, people.paris))
        sendings = [record.next() for _ in range(SENDS)]
        for sending, answer in zip(sendings, send_all(server.port, [each.request for each in sendings]), strict=True):
            record.note(sending, answer)
        assert record.statuses() == {200: SENDS}
        threads = sorted({str(sending.thread_id) for sending in sendings})
        headers = [("token", people.token), ("Content-Type", "application/json")]
        replies = [
            raw.post(REPLY, json.dumps({"customerThreadId": thread_id, "text": "We look into it."}).encode(), headers)
            for thread_id in threads
        ]
        assert {answer.status for answer in send_all(server.port, replies)} == {200}
        delivered(shop, hook, SENDS + len(threads))
        told = [stream.next("message") for _ in range(SENDS + len(threads))]
        assert {event["data"]["customerThreadId"] for event in told} == set(threads)
        stored = installation.database.value("SELECT count(*) FROM messages WHERE from_customer")
        assert stored == SENDS
        assert left_in_sessions(pooler, installation) == {(0, "0", "on", None)}


def left_in_sessions(pooler: Pgbouncer, installation: Installation) -> set[tuple[Any, ...]]:
    """The settings that earlier clients have left in the pool's sessions.

    It opens all sessions at once.
    """
    url = pooler.url(make_url(installation.database.url).database or "")
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url, prepare_threshold=None)) for _ in range(POOL_SIZE)]
        return {
            connection.execute(
                "SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('statement_timeout'), "
                "current_setting('enable_seqscan'), (SELECT min(channel) FROM pg_listening_channels() AS channel)"
            ).fetchone()
            or ()
            for connection in connections
        }


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "crashed"])
def test_a_restarted_pooler_causes_503_and_loses_no_message(
    how: signal.Signals, fresh_installation: Installation, pgbouncer: StartPooler
) -> None:
    pooler = pgbouncer()
    behind = supported(pooler, fresh_installation)
    record = small_world(behind)
    with behind.serving() as server:
        with Load(server.port, record) as load:
            load.wait_for(200, 100)
            pooler.stop(how)
            load.wait_for(503, 50)
            assert server.client.get("/readyz").status_code == 503
            assert server.client.get("/api/businesses", headers={"token": record.token}).status_code == 503
            pooler.start()
            load.wait_for(200, within_s=BACK_WITHIN_S)
            load.wait_for(200, 100)
        assert set(record.statuses()) <= {200, 503}
        record.repeat_unanswered(server.port)
        examine(record, fresh_installation.database.rows).check()


def test_a_pooler_in_place_of_the_database_is_a_503_with_the_reason(
    own_postgres: Postgres, pgbouncer: StartPooler, tmp_path: Path
) -> None:
    installation = Installation(Database(own_postgres.url()), tmp_path)
    record = small_world(installation)
    with installation.serving() as server:
        with Load(server.port, record) as load:
            load.wait_for(200, 50)
            own_postgres.stop()
            load.wait_for(503, 5)
            port, own_postgres.port = own_postgres.port, 0
            own_postgres.start()
            pgbouncer(own_postgres.url(), port=port, ignore_startup_parameters="options")
            load.wait_for(503, 50)
            answer = server.client.get("/api/businesses", headers={"token": record.token})
            assert answer.status_code == 503
        assert set(record.statuses()) == {200, 503}
        assert "SHOPBELL_DATABASE_URL goes through a connection pooler" in server.log


def test_a_database_unreachable_behind_a_pooler_is_a_503(
    installation: Installation, people: World, pgbouncer: StartPooler, shared_postgres: SharedPostgres
) -> None:
    name = make_url(installation.database.url).database
    with supported(pgbouncer(), installation).serving() as server:
        shop = Shop(server, people)
        shop.send()
        shared_postgres.command(f'DROP DATABASE "{name}" WITH (FORCE)')
        for _ in range(2):  # the first may get an error because its session has ended
            assert shop.post(shop.body()).status_code == 503
        assert server.client.get("/api/businesses", headers={"token": people.token}).status_code == 503
    shared_postgres.command(f'CREATE DATABASE "{name}"')


def test_an_error_that_ends_the_session_is_a_database_error(installation: Installation) -> None:
    """A newer PgBouncer passes on the error of its own login.

    No statement has caused it.
    """
    database = connect_database(load(database_url=installation.database.url, secret_key=SECRET_KEY))
    fatal, error = ({DiagnosticField.SEVERITY_NONLOCALIZED: severity} for severity in (b"FATAL", b"ERROR"))
    assert database.is_failure(psycopg.errors.InvalidCatalogName("no such database", info=fatal))
    assert not database.is_failure(psycopg.errors.UndefinedTable("no such table", info=error))
    database.engine.dispose()


def test_processes_notify_each_other_past_a_pooler(
    installation: Installation, people: World, pgbouncer: StartPooler
) -> None:
    behind = supported(pgbouncer(), installation)
    with ExitStack() as stack:
        here, there = (
            Shop(stack.enter_context(behind.serving(poll_interval_s=SELDOM_POLL_S)), people) for _ in range(2)
        )
        assert is_woken(there, here, poll_s=SELDOM_POLL_S)


def test_a_restore_is_refused_while_a_server_runs_behind_a_pooler(
    installation: Installation,
    people: World,
    pgbouncer: StartPooler,
    shared_postgres: SharedPostgres,
    tmp_path: Path,
) -> None:
    path = f"{shared_postgres.binaries}{os.pathsep}{os.environ['PATH']}"
    behind = supported(pgbouncer(), installation, PATH=path)
    backup = tmp_path / "shop.backup"
    with behind.serving() as server:
        thread_id = Shop(server, people).send()
        behind.cli("backup", backup)
        done = behind.run("restore", backup)
        assert done.returncode == 1
        assert "a server is running on this database" in done.stderr
    behind.cli("organization", "create", "Made after the backup")
    assert behind.cli("restore", backup)["restored"] is True
    assert [str(thread["id"]) for thread in behind.cli("threads", "list")] == [thread_id]


def test_concurrent_first_starts_behind_a_pooler_migrate_once(
    databases: Databases, pgbouncer: StartPooler, tmp_path: Path
) -> None:
    database = databases.empty()
    pooler = pgbouncer()
    behind = supported(pooler, Installation(database, tmp_path))
    with ThreadPoolExecutor(2) as both:
        done = [each.result() for each in [both.submit(behind.cli, "migrate") for _ in range(2)]]
    assert sorted(each["before"] for each in done) == ["current", "empty"]
    pooler.stop()
    databases.drop(database)


def test_a_direct_address_without_sessions_is_refused(installation: Installation, pgbouncer: StartPooler) -> None:
    pooler = pgbouncer()
    url = through(pooler, installation).database.url
    done = through(pooler, installation, **{DIRECT_URL: url}).run("serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith(f"shopbell: {DIRECT_URL} goes through a connection pooler that keeps no sessions;")


def test_a_session_pooler_can_be_both_addresses(
    installation: Installation, people: World, pgbouncer: StartPooler
) -> None:
    pooler = pgbouncer(pool_mode="session", default_pool_size=30)
    url = through(pooler, installation).database.url
    with through(pooler, installation, **{DIRECT_URL: url}).serving() as server:
        Shop(server, people).send()


def test_a_direct_address_of_another_database_is_refused(
    installation: Installation, databases: Databases, pgbouncer: StartPooler
) -> None:
    other = databases.copy("postgresql", "world")
    pooler = pgbouncer()
    done = through(pooler, installation, **{DIRECT_URL: other.url}).run("serve", "--port", "0")
    assert done.returncode == 1
    assert "reach different databases" in done.stderr
    databases.drop(other)


SHOW = Statement(
    lambda *_: None,
    PostgresStatement(
        (),
        "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation'), "
        "current_setting('enable_seqscan'), (SELECT count(*) FROM pg_prepared_statements)",
    ),
)


def test_each_transaction_behind_a_pooler_sets_its_own_settings(
    installation: Installation, pgbouncer: StartPooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = make_url(installation.database.url).database
    for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
        installation.database.change(f'ALTER DATABASE "{name}" SET {setting}')
    for variable, value in supported(pgbouncer(), installation).environment.items():
        monkeypatch.setenv(variable, value)
    database = connect_database(load())

    def settings(tx: Connection) -> tuple[str, ...]:
        names = ("synchronous_commit", "transaction_isolation", "statement_timeout", "lock_timeout")
        return tuple(tx.execute(text(f"SHOW {name}")).scalar_one() for name in names)

    def program() -> Program[list[Any]]:
        return (yield SHOW, {})

    async def hot() -> list[Any]:
        rows = [await database.run(program) for _ in range(3)][-1]
        await database.close()
        return rows

    try:
        for _ in range(10):  # from the fifth time on, psycopg prepares statements if it may
            assert database.write_now(settings) == ("on", "read committed", "7s", "5s")
        assert database.read_now(settings) == ("on", "read committed", "7s", "5s")
        assert database.snapshot_now(settings) == ("on", "repeatable read", "0", "5s")
        assert asyncio.run(hot()) == [[b"on", b"read committed", b"off", b"0"]]
    finally:
        database.engine.dispose()


def examined(installation: Installation) -> tuple[int, dict[str, str]]:
    """The findings of ``doctor`` about a pooler, and its exit code."""
    done = installation.run("doctor", "--json")
    document = json.loads(done.stdout)
    (found,) = [finding for finding in document["findings"] if finding["name"] == "connection pooler"]
    return done.returncode, found


def test_doctor_reports_a_pooler(installation: Installation, pgbouncer: StartPooler) -> None:
    pooler = pgbouncer(ignore_startup_parameters="options")
    assert examined(installation)[1]["detail"] == "none"
    found = examined(supported(pooler, installation))[1]
    assert found["level"] == "ok"
    assert found["detail"].startswith("SHOPBELL_DATABASE_URL goes through one")
    code, found = examined(through(pooler, installation))
    assert (code, found["level"]) == (1, "error")
    assert found["remedy"].startswith(f"also set {DIRECT_URL}")
    url = through(pooler, installation).database.url
    code, found = examined(through(pooler, installation, **{DIRECT_URL: url}))
    assert (code, found["level"], found["remedy"]) == (1, "error", "set it to the address of PostgreSQL itself")
