"""Dead tasks and threads are restarted and affect readiness."""

import asyncio
import json
import os
import re
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from harness.failing_receivers import Receivers
from harness.installation import Installation, Server
from harness.several import delivered, subscribe
from harness.shop import Shop
from harness.streams import following
from harness.waiting import wait_until
from harness.world import World
from shopbell.runtime import supervision
from shopbell.runtime.supervision import SupervisedTask, supervise, supervise_thread

# SIGUSR1 cancels every supervised task, one after the other, and lists the tasks and threads there were before. A task
# counts as failing for an hour after that, or until SIGUSR2.
KILLS_ITS_TASKS = """
import asyncio, json, signal, threading
from pathlib import Path
from shopbell.runtime import supervision
from shopbell.http.server.server import Server

ONLY = set()
killers = []
supervision.RECOVERED_AFTER_S = 3600
startup = Server.startup

def named(name):
    return {task for task in asyncio.all_tasks() if task.get_name() == name}

async def kill():
    supervised = ONLY or {life.name for life in supervision._lives}
    tasks = [task for task in asyncio.all_tasks() if task.get_name() not in supervised]
    others = [task.get_coro().__qualname__ for task in tasks if task is not asyncio.current_task()]
    threads = [thread.name for thread in threading.enumerate() if thread.name not in supervised]
    for name in supervised:
        dying = named(name)
        for task in dying:
            task.cancel()
        while dying and not ONLY and not named(name) - dying:
            await asyncio.sleep(0.01)
    found = {"supervised": sorted(supervised), "tasks": sorted(others), "threads": sorted(threads)}
    Path("found.part").write_text(json.dumps(found))
    Path("found.part").rename("found.json")

def recover():
    supervision.RECOVERED_AFTER_S = 0

async def startup_and_listen(self, sockets=None):
    await startup(self, sockets)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: killers.append(loop.create_task(kill())))
    loop.add_signal_handler(signal.SIGUSR2, recover)

Server.startup = startup_and_listen
"""
MAIN = "from shopbell.cli import main; main()"
STAYS_DEAD = """
ONLY = {"group commit"}
supervision.SupervisedTask._note_end = lambda self, task: None
"""
SETTINGS = {"outbound_allow": "127.0.0.0/8", "log_format": "json"}
# uvicorn's own two, whose end is the end of the process; those of requests that are under way; and those of a link
# between processes, which is made again when one of them ends.
OTHER_TASKS = {
    "Server.serve",
    "Lifespan.main",
    "AsgiExchange._answer",
    "AsgiExchange.receive",
    "DirectRequest._wait_for",
    "Relay._send",
    "_NotifyLink.until_lost",
}
THREADS = {"write the log", "database lock"}
# Pools, whose threads hand every error to the task that waits for them.
OTHER_THREADS = re.compile(r"MainThread|(uvloop|asyncio|commit|browse|blobs)_\d+|look-up")


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on loopback."""
    receivers = Receivers(tmp_path)
    yield receivers
    receivers.close()


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(run())


class Job:
    """A job that dies as often as it is told."""

    def __init__(self, *deaths: BaseException) -> None:
        self.deaths = list(deaths)
        self.starts = 0
        self.runs = asyncio.Event()
        self.told_to_end = asyncio.Event()

    async def run(self) -> None:
        """Die, or run until told to end."""
        self.starts += 1
        if self.deaths:
            raise self.deaths.pop(0)
        self.runs.set()
        await self.told_to_end.wait()


async def _end(task: SupervisedTask) -> None:
    task.cancel()
    await task.ended()
    assert supervision.failing() == []


def test_a_dead_task_is_restarted_and_counts_as_failing_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_PAUSES_S", (0.0,))

    async def test() -> None:
        job = Job(RuntimeError("a bug"), ExceptionGroup("of many", [ValueError()]), asyncio.CancelledError())
        task = supervise("a job", job.run)
        assert supervision.failing() == []
        await job.runs.wait()
        assert job.starts == 4
        assert supervision.failing() == ["a job"]
        monkeypatch.setattr(supervision, "RECOVERED_AFTER_S", 0)
        assert supervision.failing() == []
        await _end(task)

    _run(test)


def test_a_task_cancelled_from_outside_is_restarted() -> None:
    async def test() -> None:
        job = Job()
        task = supervise("a job", job.run)
        await job.runs.wait()
        job.runs.clear()
        (running,) = (each for each in asyncio.all_tasks() if each.get_name() == "a job")
        running.cancel()
        await job.runs.wait()
        assert job.starts == 2
        await _end(task)

    _run(test)


def test_a_task_that_returns_is_finished() -> None:
    async def test() -> None:
        job = Job(RuntimeError("a bug"))
        task = supervise("a job", job.run)
        await job.runs.wait()
        job.told_to_end.set()
        await task.ended()
        assert job.starts == 2
        assert supervision.failing() == []

    _run(test)


def test_a_task_waiting_for_its_restart_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_PAUSES_S", (3_600.0,))

    async def test() -> None:
        job = Job(RuntimeError("a bug"))
        task = supervise("a job", job.run)
        while not supervision.failing():  # noqa: ASYNC110 - what is waited for is inside what is tested
            await asyncio.sleep(0)
        await _end(task)
        assert job.starts == 1

    _run(test)


def test_a_task_that_keeps_dying_is_restarted_less_and_less_often() -> None:
    life = supervision._Life("a job")
    assert [life.note_death(None) for _ in range(6)] == [0.0, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_failure_that_cannot_be_logged_is_followed_by_a_restart() -> None:
    def refuse(*_: object) -> Any:
        raise OSError("the disk is full")

    async def test() -> None:
        job = Job(RuntimeError("a bug"))
        task = supervise("a job", job.run)
        await job.runs.wait()
        await _end(task)

    before = structlog.get_config()
    structlog.configure(processors=[refuse])
    try:
        _run(test)
    finally:
        structlog.configure(**before)


def test_a_dead_thread_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    runs, may_end = threading.Event(), threading.Event()

    def run() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise RuntimeError("a bug")
        runs.set()
        may_end.wait(60)

    thread = supervise_thread("a thread", run)
    assert runs.wait(60)
    assert supervision.failing() == ["a thread"]
    may_end.set()
    thread.join(60)
    assert not thread.is_alive()
    assert supervision.failing() == []


def _deaths(server: Server) -> dict[str, float]:
    text = server.client.get("/metrics").text
    found = re.findall(r'^shopbell_task_deaths_total\{task="([^"]+)"\} (\S+)$', text, re.MULTILINE)
    return {name: float(count) for name, count in found}


def _kill_tasks(server: Server) -> dict[str, list[str]]:
    found = server.installation.folder / "found.json"
    os.kill(server.pid, signal.SIGUSR1)
    wait_until(found.exists, lambda: "no task was killed")
    named: dict[str, list[str]] = json.loads(found.read_text())
    return named


def test_every_long_lived_task_is_supervised_and_its_failure_stops_nothing(
    installation: Installation, people: World, receivers: Receivers
) -> None:
    receiver = receivers.add()
    installation.server_program = ("-c", KILLS_ITS_TASKS + MAIN)
    with installation.serving(**SETTINGS) as server:
        shop = Shop(server, people)
        hook = subscribe(shop, receiver)
        with following(shop) as stream:
            stream.until_ready()
            found = _kill_tasks(server)
            assert set(found["tasks"]) <= OTHER_TASKS, "a task without supervision"
            assert [name for name in found["threads"] if not OTHER_THREADS.fullmatch(name)] == []
            assert set(_deaths(server)) == set(found["supervised"]) - THREADS
            assert server.client.get("/readyz").status_code == 503
            os.kill(server.pid, signal.SIGUSR2)
            wait_until(lambda: server.client.get("/readyz").status_code == 200, lambda: "it does not recover")
            thread_id = shop.send()
            assert stream.next("message")["data"]["customerThreadId"] == thread_id
            delivered(shop, hook, 1)
        assert server.terminate() == 0
    assert '"event":"a task died and is started again"' in server.log


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_control_without_supervision_the_failure_stops_storing_messages(
    installation: Installation, people: World
) -> None:
    """The control."""
    installation.server_program = ("-c", KILLS_ITS_TASKS + STAYS_DEAD + MAIN)
    with installation.serving(**SETTINGS, write_timeout_s=1) as server:
        shop = Shop(server, people)
        assert "group commit" in _kill_tasks(server)["supervised"]
        for _ in range(2):
            assert shop.post(shop.body()).status_code == 503
            assert server.client.get("/readyz").status_code == 200
        server.kill()
