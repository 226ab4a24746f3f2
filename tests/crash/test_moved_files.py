"""Moved, replaced or deleted database files cause a 503 and no loss."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from broken_servers import program
from sqlalchemy import make_url

from harness.installation import Installation, Server
from harness.raw import exchange
from harness.record import Load, Record, examine
from harness.waiting import wait_until
from harness.world import World

DATABASE, LOG, INDEX = "shopbell.db", "shopbell.db-wal", "shopbell.db-shm"
REFUSALS = 20

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def _folder(installation: Installation) -> Path:
    return Path(make_url(installation.database.url).database or "").parent


@contextmanager
def _serving(installation: Installation, **settings: object) -> Iterator[Server]:
    """A server whose worker process has opened the database.

    A worker that opens it later would create moved files.
    """
    with installation.serving(**settings) as server:
        # It has begun to consume the events that the world consists of.
        begun = "SELECT count(*) FROM inbox_cursors"
        wait_until(lambda: installation.database.value(begun), lambda: server.log)
        yield server


def _send(server: Server, record: Record) -> int:
    sending = record.next()
    answer = exchange(server.port, sending.request, timeout_s=60)
    record.note(sending, answer)
    return answer.status


def _record(people: World) -> Record:
    return Record(people.token, (people.boston, people.paris))


def _move(names: Sequence[str], source: Path, target: Path) -> None:
    for name in names:
        (source / name).rename(target / name)


def _check_that_it_is_not_ready(server: Server) -> None:
    wait_until(lambda: server.client.get("/readyz").status_code == 503, lambda: "it says that it is ready")
    assert server.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "names", [(DATABASE,), (LOG,), (INDEX,), (DATABASE, LOG, INDEX)], ids=["database", "log", "index", "all"]
)
def test_moving_a_file_away_and_back_is_a_503_and_loses_nothing(
    installation: Installation, people: World, names: Sequence[str]
) -> None:
    folder, away = _folder(installation), _folder(installation) / "away"
    away.mkdir()
    record = _record(people)
    with _serving(installation) as server:
        pid = server.pid
        with Load(server.port, record, connections=4) as load:
            load.wait_for(200, 20)
            _move(names, folder, away)
            load.wait_for(503, REFUSALS)
            since = len(record.answers)
            load.wait_for(503, REFUSALS)
            _check_that_it_is_not_ready(server)
            # Reads, and writes that are not messages.
            headers = {"token": people.token}
            assert server.client.get("/api/businesses", headers=headers).status_code == 503
            webhook = {"url": "https://example.com/hook", "subscribedEvents": ["messages"]}
            assert server.client.post("/api/webhooks/", headers=headers, json=webhook).status_code == 503
            assert {answer.status for _, answer in record.answers[since:]} == {503}
            if DATABASE in names:
                _check_that_commands_create_nothing(installation)
            assert [name for name in names if (folder / name).exists()] == []
            _move(names, away, folder)
            load.wait_for(200, 20)
        wait_until(lambda: server.client.get("/readyz").status_code == 200, lambda: server.log)
        assert server.pid == pid
        assert "was moved, replaced or deleted; put it back" in server.log
        record.repeat_unanswered(server.port)
        server.kill()
    examine(record, installation.database.rows).check()
    assert installation.database.value("PRAGMA integrity_check") == "ok"


def _check_that_commands_create_nothing(installation: Installation) -> None:
    for command, said in (
        (["token", "list"], "does not exist"),
        (["migrate"], "shopbell.db is missing"),
        (["worker"], "shopbell.db is missing"),
    ):
        done = installation.run(*command)
        assert done.returncode == 1, done.stdout
        assert said in done.stderr
    done = installation.run("doctor")
    assert done.returncode == 1
    assert "shopbell.db is missing" in done.stdout


def _reasons(server: Server) -> dict[str, list[str]]:
    """Why the database failed, by what could not be done."""
    reasons: dict[str, list[str]] = {}
    for line in server.log.splitlines():
        if line.startswith("{") and "reason" in (said := json.loads(line)):
            reasons.setdefault(said.get("job", said["event"]), []).append(said["reason"])
    return reasons


def test_an_idle_server_logs_a_moved_file_once_per_job(installation: Installation, people: World) -> None:
    path = _folder(installation) / LOG
    jobs = ("deliver", "decide notifications", "send EMAIL", "the database cannot be read")
    with _serving(installation, log_format="json", poll_interval_s="0.5") as server:
        path.rename(path.with_name("away"))
        for _ in range(3):  # several turns of each job
            _check_that_it_is_not_ready(server)
            time.sleep(0.6)
        wait_until(lambda: set(jobs) <= set(_reasons(server)), lambda: server.log)
        path.with_name("away").rename(path)
        reasons = _reasons(server)
    assert {job: len(reasons[job]) for job in jobs} == dict.fromkeys(jobs, 1)
    assert all(f"{path} was moved" in reasons[job][0] for job in jobs)


def test_control_a_server_that_does_not_watch_its_files_is_detected(installation: Installation, people: World) -> None:
    record = _record(people)
    with replace(installation, server_program=program("does_not_watch_its_files")).serving() as server:
        assert _send(server, record) == 200
        (_folder(installation) / DATABASE).rename(_folder(installation) / "away.db")
        assert _send(server, record) == 200
    (_folder(installation) / "away.db").rename(_folder(installation) / DATABASE)


def test_a_replaced_database_is_refused_until_a_restart(installation: Installation, people: World) -> None:
    folder = _folder(installation)
    record = _record(people)
    with _serving(installation) as server:
        assert _send(server, record) == 200
        shutil.copyfile(folder / DATABASE, folder / "copy.db")
        (folder / "copy.db").replace(folder / DATABASE)
        with Load(server.port, record, connections=4) as load:
            load.wait_for(503, REFUSALS)
            _check_that_it_is_not_ready(server)
        assert len(record.acknowledged) == 1
        server.terminate()
        for name in (LOG, INDEX):  # of the other database
            (folder / name).unlink(missing_ok=True)
        server.start()
        assert _send(server, record) == 200


@pytest.mark.parametrize("name", [LOG, INDEX], ids=["log", "index"])
def test_an_orderly_shutdown_saves_a_deleted_write_ahead_log(
    installation: Installation, people: World, name: str
) -> None:
    record = _record(people)
    with _serving(installation) as server:
        with Load(server.port, record, connections=4) as load:
            load.wait_for(200, 20)
            (_folder(installation) / name).unlink()
            load.wait_for(503, REFUSALS)
            _check_that_it_is_not_ready(server)
        assert server.terminate() == 0
        server.start()
        assert _send(server, record) == 200
        record.repeat_unanswered(server.port)
    examine(record, installation.database.rows).check()
    assert installation.database.value("PRAGMA integrity_check") == "ok"


def test_a_server_does_not_delete_a_write_ahead_log_without_its_database(
    installation: Installation, people: World
) -> None:
    folder, record = _folder(installation), _record(people)
    with _serving(installation) as server:
        assert _send(server, record) == 200
        (folder / DATABASE).rename(folder / "away.db")
        server.kill()
        log = (folder / LOG).read_bytes()
        done = installation.run("serve", "--port", str(server.port))
        assert (done.returncode, (folder / LOG).read_bytes()) == (1, log)
        assert "its log" in done.stderr
        assert not (folder / DATABASE).exists()
        (folder / "away.db").rename(folder / DATABASE)
        server.start()
    examine(record, installation.database.rows).check()
