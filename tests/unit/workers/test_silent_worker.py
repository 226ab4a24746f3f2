"""What a server knows of its worker process."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

import pytest

from shopbell.db.database import Database
from shopbell.http.pages.readiness import Readiness
from shopbell.settings.settings import Settings
from shopbell.workers import worker_process
from shopbell.workers.worker_process import Process, WorkerProcess


class FakeProcess:
    """A process that does nothing until it is killed."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._killed = threading.Event()

    def kill(self) -> None:
        """End it."""
        self.end.close()
        self._killed.set()

    def wait(self) -> int:
        """Wait for its end."""
        self._killed.wait()
        return -9


class WithFakeProcesses(WorkerProcess):
    """Starts fake processes."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.started: list[FakeProcess] = []

    def _start(self, end: socket.socket) -> Process:
        process = FakeProcess(end.dup())
        self.started.append(process)
        return process


def _run(test: Callable[[WithFakeProcesses], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            worker = WithFakeProcesses()
            await worker.start(lambda _: None, lambda _: None)
            await test(worker)
            worker.end()
            worker.started[-1].kill()
            await worker.close()

    asyncio.run(run())


async def _until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110 - what is waited for is inside what is tested
        await asyncio.sleep(0.001)


def test_a_worker_process_that_falls_silent_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(worker_process, "SILENT_MAX_S", 0.01)
    monkeypatch.setattr(worker_process, "time", SimpleNamespace(monotonic=lambda: now_s))

    async def test(worker: WithFakeProcesses) -> None:
        nonlocal now_s
        await _until(lambda: worker.started)
        for report in range(1, 10):  # together, longer than the longest silence
            now_s = report * 0.006
            worker.started[0].end.send(b"alive %d\n" % report)
            await _until(lambda report=report: len(worker.started) > 1 or worker.failing == [str(report)])
        assert len(worker.started) == 1
        now_s += 0.01
        await _until(lambda: len(worker.started) > 1)
        assert worker.started[0].wait() == -9

    _run(test)


def test_a_server_is_not_ready_while_a_task_of_its_worker_process_fails() -> None:
    async def test(worker: WithFakeProcesses) -> None:
        readiness = Readiness(cast("Database", None), lambda: worker.failing)
        await _until(lambda: worker.started)
        worker.started[0].end.send(b"alive claim,settle\n")
        await _until(lambda: worker.failing == ["claim", "settle"])
        assert not await readiness.is_ready()
        worker.started[0].end.send(b"alive \n")
        await _until(lambda: not worker.failing)

    _run(test)
