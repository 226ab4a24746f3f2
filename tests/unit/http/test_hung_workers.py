"""The supervisor of several server processes replaces one that hangs."""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from shopbell.http.server import workers
from shopbell.http.server.workers import ALIVE, SILENT_MAX_S, Supervisor
from shopbell.settings.settings import Settings

LOOKS = round(SILENT_MAX_S * 10)
"""How often a supervisor looks at its workers until one is silent for too long."""


class FakeProcess:
    """A server process that does nothing but report."""

    pid = 1
    _looks_until_dead = 5

    def __init__(self, started: "list[FakeProcess]", pass_fds: tuple[int, int]) -> None:
        self.returncode: int | None = None
        self.signals: list[int] = []
        self._line = os.dup(pass_fds[1])
        started.append(self)

    def poll(self) -> int | None:
        """Its exit code: a process that is killed dies a moment later."""
        if self.returncode is None and signal.SIGKILL in self.signals:
            self._looks_until_dead -= 1
            if self._looks_until_dead == 0:
                self._end(-signal.SIGKILL)
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGTERM:
            self._end(0)

    def _end(self, code: int) -> None:
        self.returncode = code
        os.close(self._line)

    def report(self) -> None:
        if self.returncode is None:
            os.write(self._line, ALIVE)


def run(monkeypatch: pytest.MonkeyPatch, act: Callable[[int, list[FakeProcess]], object]) -> list[FakeProcess]:
    """Supervise two fake processes without waiting.

    Args:
        act: called before each look at them, with the number of the look; ends the supervisor by returning true.

    Returns:
        All processes that were started.
    """
    started: list[FakeProcess] = []

    def start(*_: object, **given: Any) -> FakeProcess:
        return FakeProcess(started, given["pass_fds"])

    monkeypatch.setattr(workers, "subprocess", SimpleNamespace(Popen=start, DEVNULL=None))
    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))
    look = 0

    def on_alive() -> None:
        nonlocal look
        look += 1
        if act(look, started):
            os.kill(os.getpid(), signal.SIGTERM)

    with socket.socket() as listener:
        settings = Settings.model_construct(workers=2, drain_delay_s=0, shutdown_timeout_s=1)
        Supervisor(listener, "", settings, lambda: None, lambda: None, on_alive, nullcontext).run()
    return started


def test_a_worker_that_falls_silent_is_replaced_and_the_others_serve_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(look: int, started: list[FakeProcess]) -> bool:
        for process in started[1:] if look > 100 else started:
            process.report()
        assert look < LOOKS + 200
        return len(started) > 2

    hung, healthy, replacement = run(monkeypatch, act)
    assert (hung.returncode, healthy.returncode, replacement.returncode) == (-signal.SIGKILL, 0, 0)
    assert hung.signals == [signal.SIGKILL]


def test_a_worker_that_reports_now_and_then_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(look: int, started: list[FakeProcess]) -> bool:
        if look % (LOOKS - 1) == 1:
            for process in started:
                process.report()
        return look > 3 * LOOKS

    assert len(run(monkeypatch, act)) == 2


def test_the_start_of_a_worker_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run(monkeypatch, lambda look, _: look > 3 * LOOKS)) == 2
