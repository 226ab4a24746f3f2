"""A background worker survives failures and stops within its deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from shopbell.errors import StorageError
from shopbell.runtime.background_worker import BackgroundWorker

Step = Callable[[], None]


class Example(BackgroundWorker):
    """Takes one step in each turn, and ends after the last one."""

    def __init__(self, *steps: Step, shutdown_timeout_s: float = 60) -> None:
        super().__init__("example", shutdown_timeout_s)
        self.steps = list(steps)
        self.tasks: set[asyncio.Task[None]] = set()
        self.woken = asyncio.Event()
        self.settled = 0

    def begin(self, work: Awaitable[None]) -> None:
        """Begin work that goes on beside the turns."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self) -> None:
        await self._repeat("example", self._turn, self._wait)
        await self._finish(self.tasks, self._settle)

    async def _turn(self) -> float:
        if not self.steps:
            self.end()
        else:
            self.steps.pop(0)()
        return 0

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _settle(self) -> None:
        self.settled += 1

    def _wake(self) -> None:
        self.woken.set()


class Storing(Example):
    """Stores results for as long as work goes on."""

    def __init__(self, shutdown_timeout_s: float = 60) -> None:
        super().__init__(shutdown_timeout_s=shutdown_timeout_s)
        self.finished: list[str] = []
        self.stored: list[str] = []
        self.storing = asyncio.Event()

    async def _settle(self) -> None:
        taken = self.finished.copy()
        self.storing.set()
        await asyncio.gather(*self.tasks)
        self.stored.extend(taken)
        del self.finished[: len(taken)]


def _raise(error: Exception) -> Step:
    def step() -> None:
        raise error

    return step


def _run(worker: Example, before: Step = lambda: None) -> None:
    async def run() -> None:
        before()
        worker.start()
        await worker.ended()

    asyncio.run(run())


@pytest.mark.parametrize("error", [StorageError("gone"), ValueError("bug")])
def test_a_failed_iteration_does_not_stop_the_worker(error: Exception) -> None:
    done: list[str] = []
    _run(Example(_raise(error), lambda: done.append("next turn")))
    assert done == ["next turn"]


def test_work_in_progress_finishes_and_its_result_is_stored() -> None:
    worker = Example()
    done: list[str] = []

    async def work() -> None:
        await worker.woken.wait()
        done.append("work")

    _run(worker, lambda: worker.begin(work()))
    assert done == ["work"]
    assert worker.settled == 2, "the result of the last task was not stored"


def test_work_past_the_deadline_is_cancelled() -> None:
    worker = Example(shutdown_timeout_s=0)
    ends: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    worker.steps.append(lambda: worker.begin(work()))
    worker.steps.append(lambda: None)
    _run(worker)
    assert ends == ["cancelled"]


def test_work_that_finishes_while_results_are_stored_is_stored_too() -> None:
    worker = Storing()

    async def work() -> None:
        await worker.storing.wait()
        worker.finished.append("result")

    _run(worker, lambda: worker.begin(work()))
    assert (worker.stored, worker.finished) == (["result"], [])


def test_work_that_ends_at_the_deadline_while_results_are_stored_is_stored_too() -> None:
    worker = Storing(shutdown_timeout_s=0)

    async def work() -> None:
        try:
            await worker.storing.wait()
        finally:
            worker.finished.append("result")

    worker.steps += [lambda: worker.begin(work()), lambda: None]
    _run(worker)
    assert (worker.stored, worker.finished) == (["result"], [])


def test_work_that_swallows_its_cancellation_is_cancelled_again() -> None:
    async def test() -> None:
        async def deaf() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()

        worker = Example(lambda: worker.begin(deaf()), shutdown_timeout_s=0)
        worker.start()
        ending = asyncio.create_task(worker.ended())
        await asyncio.wait((ending,), timeout=30)
        assert ending.done()
        assert not worker.tasks

    asyncio.run(test())
