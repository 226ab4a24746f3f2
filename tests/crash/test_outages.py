"""Storage outages are a 503, lose nothing and end without a restart."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.databases import Databases
from harness.installation import Database, Installation, Server, copy_sqlite
from harness.postgres import Postgres, stopped
from harness.raw import RawAnswer, exchange
from harness.record import Load, Record, examine, small_world, somebody_writing
from harness.waiting import wait_until
from harness.world import World

BACK_WITHIN_S = 20
MIB = 1024 * 1024

only_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def _check_refusals(record: Record) -> int:
    """Every answer is 200 or a whole 503; returns how many are 503."""
    assert set(record.statuses()) <= {200, 503}, record.statuses()
    refusals = [answer for _, answer in record.answers if answer.status == 503]
    for answer in refusals:
        _check_refusal(answer)
    return len(refusals)


def _check_refusal(answer: RawAnswer) -> None:
    assert answer.status == 503
    retry_after = answer.header("retry-after")
    assert retry_after is not None
    assert int(retry_after) >= 1
    assert answer.header("content-type") == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/temporarily-unavailable"
    assert problem["developerMessage"] == "Storage is temporarily unavailable"


def _record(people: World) -> Record:
    return Record(people.token, (people.boston, people.paris))


def _send(server: Server, record: Record) -> RawAnswer:
    sending = record.next()
    answer = exchange(server.port, sending.request, timeout_s=30)
    record.note(sending, answer)
    return answer


def _waits_for_its_batch(server: Server, count: int) -> None:
    """Wait until so many messages are in a batch that has begun (the metric counts a batch when it begins)."""
    deadline_s = time.monotonic() + 60
    while _begun(server) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def _begun(server: Server) -> int:
    found = re.search(r"^shopbell_batch_size_sum (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def _rss_bytes(server: Server) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_the_server_recovers_from_a_postgresql_restart(
    how: signal.Signals, own_postgres: Postgres, tmp_path: Path
) -> None:
    installation = Installation(Database(own_postgres.url()), tmp_path)
    record = small_world(installation)
    with installation.serving() as server:
        pid = server.pid
        with Load(server.port, record) as load:
            load.wait_for(200, 100)
            own_postgres.stop(how)
            load.wait_for(503, 50)
            assert server.client.get("/readyz").status_code == 503
            assert server.client.get("/healthz").status_code == 200
            assert server.client.get("/api/businesses", headers={"token": record.token}).status_code == 503
            own_postgres.start()
            load.wait_for(200, within_s=BACK_WITHIN_S)
            load.wait_for(200, 100)
        # A task that died with the database counts as failing for some seconds, in the worker process, too.
        wait_until(lambda: server.client.get("/readyz").status_code == 200, lambda: server.log)
        assert server.pid == pid
        assert _check_refusals(record) >= 50
        # The log has the reason of a 503.
        assert "batch failed; it may be written or not" in server.log
        assert re.search(
            r"storage failed .*reason=.?the database failed \(OperationalError: connection .*refused", server.log
        )
        record.repeat_unanswered(server.port)
        examine(record, installation.database.rows).check()


def test_a_silent_postgresql_is_a_503_and_not_a_hang(own_postgres: Postgres, tmp_path: Path) -> None:
    installation = Installation(Database(own_postgres.url()), tmp_path)
    record = small_world(installation)
    with installation.serving(write_timeout_s=1) as server:
        assert _send(server, record).status == 200
        with stopped(_backends(own_postgres)), Load(server.port, record, connections=4) as load:
            load.wait_for(503, 4, within_s=30)
        with Load(server.port, record) as load:
            load.wait_for(200, within_s=BACK_WITHIN_S)
        _check_refusals(record)
        record.repeat_unanswered(server.port)
        examine(record, installation.database.rows).check()


def test_sigterm_ends_the_server_while_postgresql_is_silent(own_postgres: Postgres, tmp_path: Path) -> None:
    installation = Installation(Database(own_postgres.url()), tmp_path)
    record = small_world(installation)
    with installation.serving(write_timeout_s=1, shutdown_timeout_s=1) as server:
        assert _send(server, record).status == 200
        with stopped(_backends(own_postgres)):
            with Load(server.port, record, connections=4) as load:
                load.wait_for(503, within_s=30)
            asked_at_s = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - asked_at_s < 20


def _backends(server: Postgres) -> list[int]:
    """The processes of PostgreSQL that serve Shopbell's connections."""
    others = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return [row["pid"] for row in Database(server.url()).rows(others)]


@dataclass
class SmallDisk:
    """A disk on which space can end: a small file system, or (who may not mount one) a limit on the size of files."""

    folder: Path
    mounted: bool

    def fill(self, server: Server) -> None:
        """Leave no room, or hardly any."""
        if self.mounted:
            with (self.folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
                while True:
                    ballast.write(bytes(4096))
            assert shutil.disk_usage(self.folder).free == 0
        else:
            largest = max(path.stat().st_size for path in self.folder.iterdir())
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    def free(self, server: Server) -> None:
        """Make room again."""
        if self.mounted:
            (self.folder / "ballast").unlink()
        else:
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(params=["file system", "size of files"])
def small_disk(request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    """64 MiB, or as much as a limit allows."""
    folder = Path(tempfile.mkdtemp(prefix="shopbell-disk-"))
    mounted = request.param == "file system" and os.geteuid() == 0
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder)


@only_sqlite
def test_a_full_disk_refuses_writes_and_allows_reads(
    engine: str, databases: Databases, people: World, small_disk: SmallDisk, tmp_path: Path
) -> None:
    template = Path(databases.template(engine, "world").url.removeprefix("sqlite:///"))
    copy_sqlite(template, small_disk.folder / "shopbell.db")
    installation = Installation(Database(f"sqlite:///{small_disk.folder / 'shopbell.db'}"), tmp_path)
    record = _record(people)
    with installation.serving() as server:
        pid = server.pid
        with Load(server.port, record) as load:
            load.wait_for(200, 100)
            small_disk.fill(server)
            load.wait_for(503, 20)
        # Reading: the token, the business, what the command line shows.
        wrong = {"businessId": people.boston, "message": "", "user": {"email": "carol@example.com"}}
        foreign = {"businessId": people.london, "message": "hello", "user": {"email": "carol@example.com"}}
        for body, status in ((wrong, 400), (foreign, 403)):
            headers = {"token": people.token, "Content-Type": "application/json"}
            answer = server.client.post(
                "/api/widget/send-message-to-business", content=json.dumps(body), headers=headers
            )
            assert answer.status_code == status
        assert len(installation.cli("threads", "list")) > 0
        with Load(server.port, record) as load:
            load.wait_for(503, 20)
            assert server.client.get("/readyz").status_code == 503
            small_disk.free(server)
            load.wait_for(200, within_s=BACK_WITHIN_S)
            load.wait_for(200, 100)
        wait_until(lambda: server.client.get("/readyz").status_code == 200, lambda: server.log)
        assert server.pid == pid
        assert _check_refusals(record) >= 40
        record.repeat_unanswered(server.port)
        examine(record, installation.database.rows).check()
    assert installation.database.value("PRAGMA integrity_check") == "ok"


@only_sqlite
def test_another_writing_process_delays_messages_and_loses_none(installation: Installation, people: World) -> None:
    record = _record(people)
    with installation.serving() as server, Load(server.port, record) as load:
        load.wait_for(200, 50)
        with somebody_writing(installation.database):
            seen = len(record.answers)
            time.sleep(1.5)
            assert len(record.answers) - seen <= 2 * 16, "another client wrote, too"
        load.wait_for(200, 50, within_s=BACK_WITHIN_S)
    assert set(record.statuses()) == {200}
    examine(record, installation.database.rows).check()


def test_a_slow_write_is_a_503_and_can_be_retried(installation: Installation, people: World) -> None:
    record = _record(people)
    with installation.serving(write_timeout_s=1) as server:
        record.next()  # the first has no key
        with somebody_writing(installation.database):
            began_s = time.monotonic()
            answer = _send(server, record)
            elapsed_s = time.monotonic() - began_s
        _check_refusal(answer)
        assert 0.9 <= elapsed_s < 30
        began_s = time.monotonic()
        while _send(server, record).status != 200:
            assert time.monotonic() - began_s < BACK_WITHIN_S
        record.repeat_unanswered(server.port)
    examine(record, installation.database.rows).check()


def test_a_full_queue_refuses_at_once_and_keeps_accepted_messages(installation: Installation, people: World) -> None:
    record = _record(people)
    with installation.serving(queue_limit=1, batch_limit=1, write_timeout_s=60) as server, ExitStack() as stack:
        clients = stack.enter_context(ThreadPoolExecutor(10))
        assert _send(server, record).status == 200
        begun = _begun(server)
        with somebody_writing(installation.database):
            answers: list[Future[RawAnswer]] = [clients.submit(_send, server, record)]
            _waits_for_its_batch(server, begun + 1)
            began_s = time.monotonic()
            answers += [clients.submit(_send, server, record) for _ in range(9)]
            _until(lambda: sum(answer.done() for answer in answers) == 8)
            refused_after_s = time.monotonic() - began_s
        statuses = sorted(answer.result().status for answer in answers)
        assert statuses == [200, 200] + [503] * 8
        assert refused_after_s < 30, "the refused waited"
        assert _check_refusals(record) == 8
    examine(record, installation.database.rows).check()


def _until(reached: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@only_sqlite
def test_the_queue_and_its_memory_are_bounded(installation: Installation, people: World) -> None:
    record = _record(people)
    with installation.serving(queue_limit=50) as server:
        with Load(server.port, record, connections=100) as load:
            load.wait_for(200, 200)
            before_bytes = _rss_bytes(server)
            with somebody_writing(installation.database):
                load.wait_for(503, 3_000)
                grown_bytes = _rss_bytes(server) - before_bytes
        assert grown_bytes < 32 * MIB, f"{grown_bytes} bytes more after {record.statuses()}"
        _check_refusals(record)
        record.repeat_unanswered(server.port)
    examine(record, installation.database.rows).check()
