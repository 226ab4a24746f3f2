"""Keep long-lived tasks and threads alive.

A task or thread that dies is logged, counted and started again. ``/readyz`` fails until it has run for
``RECOVERED_AFTER_S``.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from prometheus_client import Counter

from shopbell.runtime.cancellation import AGAIN_AFTER_S

RECOVERED_AFTER_S = 5.0
"""Seconds without another death after which a task counts as healthy again."""
_PAUSES_S = (0.0, 0.5, 1.0, 2.0)
"""Seconds before each restart; the last value repeats."""

DEATHS = Counter("shopbell_task_deaths", "Long-lived tasks and threads that died and were started again.", ["task"])

log = structlog.get_logger()


class _Life:
    """When a task or thread last died, and how long to wait before its next start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._died_at_s: float | None = None
        self._deaths_in_a_row = 0

    @property
    def is_failing(self) -> bool:
        return self._died_at_s is not None and time.monotonic() - self._died_at_s < RECOVERED_AFTER_S

    def note_death(self, error: BaseException | None) -> float:
        """Log and count a death; returns the seconds to wait before the restart."""
        self._deaths_in_a_row = self._deaths_in_a_row + 1 if self.is_failing else 1
        self._died_at_s = time.monotonic()
        DEATHS.labels(self.name).inc()
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        with suppress(Exception):  # nothing stands behind this: a log that fails must not prevent the restart
            log.error("a task died and is started again", task=self.name, exc_info=error)
        return _PAUSES_S[min(self._deaths_in_a_row, len(_PAUSES_S)) - 1]


_lives: set[_Life] = set()


def failing() -> list[str]:
    """Names of the supervised tasks and threads of this process that died a moment ago."""
    return sorted(life.name for life in tuple(_lives) if life.is_failing)


class SupervisedTask:
    """A task that is started again whenever it dies; made by :func:`supervise`."""

    def __init__(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._restart: asyncio.TimerHandle | None = None
        self._is_cancelled = False
        self._cancel_again: asyncio.TimerHandle | None = None
        self._life = _Life(name)
        _lives.add(self._life)
        self._begin()

    def cancel(self) -> None:
        """End the task for good."""
        self._is_cancelled = True
        if self._restart is not None:
            self._restart.cancel()
            self._end()
        elif not self._over.done():
            self._task.cancel()
            self._cancel_again = self._loop.call_later(AGAIN_AFTER_S, self.cancel)

    async def ended(self) -> None:
        """Wait until the task has returned, or was ended by :meth:`cancel`."""
        await asyncio.shield(self._over)

    def _begin(self) -> None:
        self._restart = None
        self._task = self._loop.create_task(self._call(), name=self._life.name)
        self._task.add_done_callback(self._note_end)

    async def _call(self) -> None:
        await self._run()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        # A cancellation that did not come from `cancel` is a death, too: of something that the task waited for.
        error = None if task.cancelled() else task.exception()
        if self._is_cancelled or (error is None and not task.cancelled()):
            self._end()
        else:
            self._restart = self._loop.call_later(self._life.note_death(error), self._begin)

    def _end(self) -> None:
        if self._cancel_again is not None:
            self._cancel_again.cancel()
        _lives.discard(self._life)
        if not self._over.done():
            self._over.set_result(None)


def supervise(name: str, run: Callable[[], Awaitable[None]]) -> SupervisedTask:
    """Run a task and start it again whenever it dies.

    It dies by any exception, and by a cancellation that does not come from ``SupervisedTask.cancel``. Once ``run``
    returns, it has ended as intended.

    Args:
        name: for the log, and for the metric ``shopbell_task_deaths``.
        run: called for each start; whatever it needs to go on with must be kept outside of it.
    """
    return SupervisedTask(name, run)


def supervise_thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """Run a daemon thread that calls ``run`` again whenever it raises, until it returns.

    Args:
        name: for the log, and for the metric ``shopbell_task_deaths``.
        run: called for each start.
    """
    life = _Life(name)
    _lives.add(life)

    def keep() -> None:
        while True:
            try:
                run()
            except Exception as error:  # noqa: BLE001 - any error is a death
                time.sleep(life.note_death(error))
            else:
                _lives.discard(life)
                return

    thread = threading.Thread(target=keep, name=name, daemon=True)
    thread.start()
    return thread
