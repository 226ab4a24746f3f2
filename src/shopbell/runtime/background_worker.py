"""The base class of background workers: start, repeat turns, end within a deadline."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from functools import partial

import structlog

from shopbell.errors import StorageError
from shopbell.runtime.cancellation import cancel
from shopbell.runtime.supervision import SupervisedTask, supervise

Turn = Callable[[], Awaitable[float]]
"""Works for a moment; returns the seconds to wait before the next turn."""

Wait = Callable[[float], Awaitable[object]]
"""Waits so many seconds, or less if there is news."""

_PAUSE_AFTER_FAILURE_S = 0.5

log = structlog.get_logger()


class BackgroundWorker(ABC):
    """Works in the background until it is ended.

    A subclass works in ``_run``, by one or several ``_repeat``, and ends its waits in ``_wake``.

    Args:
        name: for the log and for the metric ``shopbell_task_deaths``.
        shutdown_timeout_s: how long work that has begun may go on after ``end``.
    """

    def __init__(self, name: str, shutdown_timeout_s: float) -> None:
        self._name = name
        self._shutdown_timeout_s = shutdown_timeout_s
        self._ending = asyncio.Event()
        self._task: SupervisedTask | None = None

    def start(self) -> None:
        """Start to work; needs a running event loop."""
        self._task = supervise(self._name, self._run)

    def end(self) -> None:
        """Take no new work. Work that has begun goes on for at most ``shutdown_timeout_s``."""
        self._ending.set()
        self._wake()

    async def close(self) -> None:
        """End, and store the results. Work that is cut off at the deadline is claimed again after its lease."""
        self.end()
        await self.ended()

    async def ended(self) -> None:
        """Wait until the worker has ended."""
        if self._task is not None:
            await self._task.ended()

    @abstractmethod
    async def _run(self) -> None:
        """Work until ``_ending`` is set."""

    @abstractmethod
    def _wake(self) -> None:
        """End all waits of ``_run``."""

    async def _repeat_all(self, jobs: Iterable[tuple[str, Turn, Wait]]) -> None:
        """Repeat several jobs at the same time until the end, each in a supervised task."""
        tasks = [supervise(job, partial(self._repeat, job, turn, wait)) for job, turn, wait in jobs]
        try:
            for task in tasks:
                await task.ended()
        finally:
            for task in tasks:
                task.cancel()

    async def _repeat(self, job: str, turn: Turn, wait: Wait) -> None:
        """Repeat turns until the end, whatever happens in one of them.

        Args:
            job: for the log.
        """
        is_failing = False
        while not self._ending.is_set():
            try:
                wait_s = await turn()
            except StorageError as error:
                if not is_failing:
                    log.warning("postponed", job=job, reason=str(error))
                is_failing = True
            except Exception as error:  # a bug in one turn must not end all later ones
                log.error("bug", job=job, exc_info=error)
            else:
                if is_failing:
                    log.info("works again", job=job)
                is_failing = False
                await wait(wait_s)
                continue
            await self._pause(_PAUSE_AFTER_FAILURE_S)

    async def _pause(self, seconds: float) -> None:
        """Wait so many seconds even if there is news, but not longer than until the end."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ending.wait()

    async def _finish(self, tasks: Collection[asyncio.Task[None]], settle: Callable[[], Awaitable[None]]) -> None:
        """Let tasks end until the deadline, store their results, and cancel the rest.

        Args:
            tasks: the tasks that have begun; each removes itself when it ends.
            settle: stores the results so far.
        """
        deadline_s = time.monotonic() + self._shutdown_timeout_s
        while tasks and time.monotonic() < deadline_s:
            if not await self._is_settled(settle):
                break
            if tasks:
                left_s = max(0, deadline_s - time.monotonic())
                await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        await cancel(list(tasks))
        # Only now can no task end any more while its results are stored.
        await self._is_settled(settle)

    async def _is_settled(self, settle: Callable[[], Awaitable[None]]) -> bool:
        """Store the results so far; returns whether the database accepts them."""
        try:
            await settle()
        except StorageError as error:
            log.warning("postponed", job=self._name, reason=str(error))
            return False
        except Exception as error:  # the other results are stored
            log.error("bug", job=self._name, exc_info=error)
        return True
