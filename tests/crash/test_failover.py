"""A replica takes over from a PostgreSQL server that fails, and no confirmed message is lost."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.findings import examine as examine_installation
from harness.installation import Database, Installation
from harness.postgres import Postgres, new_folder
from harness.record import Load, Record, examine, small_world
from harness.waiting import wait_until

BACK_WITHIN_S = 120
"""After a promotion; it takes 1 to 3 s on a quiet machine."""
ONE_REPLICA = "ANY 1 (*)"

NewPostgres = Callable[..., Postgres]


@pytest.fixture
def new_postgres() -> Iterator[NewPostgres]:
    """Starts PostgreSQL servers that end with the test."""
    with ExitStack() as stack:

        def start(**arguments: Any) -> Postgres:
            folder = new_folder()
            stack.callback(shutil.rmtree, folder)
            server = Postgres(folder, **arguments)
            stack.callback(server.stop)
            server.start()
            return server

        yield start


def _url(*servers: Postgres) -> str:
    """The URL of a database on several servers, in PostgreSQL's own form."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://postgres:{servers[0].password}@{hosts}/postgres"


def _set_synchronous(primary: Postgres, names: str) -> None:
    primary.command(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    primary.command("SELECT pg_reload_conf()")


def _wait_for_replica(primary: Postgres, sync_state: str) -> None:
    states = "SELECT state, sync_state FROM pg_stat_replication"
    expected = [{"state": "streaming", "sync_state": sync_state}]
    wait_until(lambda: Database(primary.url()).rows(states) == expected, lambda: (primary.folder / "log").read_text())


def _replica_findings(installation: Installation) -> list[tuple[str, str]]:
    """Level and detail of what doctor says about servers and replicas."""
    _, found = examine_installation(installation)
    findings = [*found.get("database server", ()), *found["replica"]]
    return [(finding["level"], finding["detail"]) for finding in findings]


def _refused_s(record: Record, promoted_at_s: float) -> float:
    """How long no message was confirmed, in seconds."""
    confirmed_s = [at_s for at_s, answer in record.answers if answer.status == 200]
    return min(at_s for at_s in confirmed_s if at_s >= promoted_at_s) - max(
        at_s for at_s in confirmed_s if at_s < promoted_at_s
    )


@pytest.mark.timeout(600)
def test_a_failover_to_a_synchronous_replica_loses_no_confirmed_message(
    new_postgres: NewPostgres, tmp_path: Path
) -> None:
    primary = new_postgres(synchronous_standby_names=ONE_REPLICA)
    replica = new_postgres(primary=primary)
    _wait_for_replica(primary, "quorum")
    servers = [f"127.0.0.1, port {server.port}" for server in (primary, replica)]
    installation = Installation(Database(_url(primary, replica)), tmp_path)
    record = small_world(installation)
    first, second, (level, detail) = _replica_findings(installation)
    assert (first, second) == (("ok", f"{servers[0]}: primary"), ("ok", f"{servers[1]}: replica"))
    assert level == "ok"
    assert detail.startswith("commits wait for 1 of replica (streaming, quorum, ")
    ((level, detail),) = _replica_findings(Installation(Database(replica.url()), tmp_path))
    assert (level, detail.split(";")[0]) == ("error", "the database URL leads to a replica")

    with installation.serving(write_timeout_s=1) as server:
        pid = server.pid
        with Load(server.port, record) as load:
            load.wait_for(200, 200)
            primary.kill()
            load.wait_for(503, 10)
            promoted_at_s = time.monotonic()
            replica.promote()
            back_s = load.wait_for(200, within_s=BACK_WITHIN_S)
            load.wait_for(200, 200)
        refusals = record.statuses()[503]
        wait_until(lambda: server.client.get("/readyz").status_code == 200, lambda: server.log)
        assert server.pid == pid, "Shopbell was restarted"
        record.repeat_unanswered(server.port)
        assert set(record.statuses()) == {200, 503}
        examine(record, Database(replica.url()).rows).check()
        print(
            f"{len(record.acknowledged)} confirmed messages, 0 lost; {refusals} refused during "
            f"{_refused_s(record, promoted_at_s):.1f} s, {back_s:.1f} s of them after the promotion"
        )
        first, second, last = _replica_findings(installation)
        assert first[0] == "warning"
        assert first[1].startswith(f"{servers[0]}: the database failed (OperationalError: ")
        assert second == ("ok", f"{servers[1]}: primary")
        assert last == ("warning", "none is connected")

        # The failed server comes back as a replica of the new primary, under its old address.
        rebuilt = new_postgres(primary=replica, port=primary.port)
        _wait_for_replica(replica, "async")
        _, _, (level, detail) = _replica_findings(installation)
        assert level == "warning"
        assert detail.startswith("commits do not wait for replica (streaming, async, ")
        _set_synchronous(replica, ONE_REPLICA)
        _wait_for_replica(replica, "quorum")
        assert [level for level, _ in _replica_findings(installation)] == ["ok", "ok", "ok"]

        # Without a replica, no message is confirmed, until the operator decides otherwise.
        with Load(server.port, record, connections=4) as load:
            load.wait_for(200, 20)
            rebuilt.stop()
            load.wait_for(503, 8)
            confirmed = record.statuses()[200]
            expected = "commits wait for 1, and 0 can confirm them: every message is refused"
            assert _replica_findings(installation)[-1] == ("error", expected)
            load.wait_for(503, 8)
            assert record.statuses()[200] == confirmed
            _set_synchronous(replica, "")
            load.wait_for(200, 20, within_s=BACK_WITHIN_S)
        record.repeat_unanswered(server.port)
    examine(record, Database(replica.url()).rows).check()


@pytest.mark.timeout(600)
def test_control_a_failover_to_an_asynchronous_replica_loses_messages(
    new_postgres: NewPostgres, tmp_path: Path
) -> None:
    primary = new_postgres()
    replica = new_postgres(primary=primary)
    _wait_for_replica(primary, "async")
    installation = Installation(Database(_url(primary, replica)), tmp_path)
    record = small_world(installation)
    with installation.serving() as server, Load(server.port, record) as load:
        load.wait_for(200, 20)
        replica.stop()
        load.wait_for(200, 20)
        primary.kill()
        load.wait_for(503, 10)
        replica.start()
        replica.promote()
        load.wait_for(200, 20, within_s=BACK_WITHIN_S)
    findings = examine(record, Database(replica.url()).rows)
    assert findings.lost, f"none of {findings.acknowledged} messages was lost"
