"""The worker process of a server.

It delivers webhooks and notifications in its own process, on another core. A delivery costs more CPU time than a
message. In the server's process it would take that time from the messages.
"""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Protocol

import orjson
import structlog
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from shopbell.realtime import signals
from shopbell.realtime.signals import Signal, SignalHandler
from shopbell.runtime.log_output import LOST
from shopbell.runtime.supervision import DEATHS, SupervisedTask, supervise
from shopbell.safe_http.addresses import AllowList
from shopbell.settings.settings import Settings
from shopbell.workers import metrics_folder
from shopbell.workers.line import ALIVE, DEMO, END, IDS, LOOK, METRICS, WAIT, Heard, Line

# -P: with -m alone, Python would import modules of the working directory, such as an ``email.py`` that lies there.
PROGRAM = ("-P", "-m", "shopbell.workers.process")
_SHARED = {"shopbell_task_deaths": DEATHS, "shopbell_log_lines_lost": LOST}
"""What both processes count, by name: the numbers are added up."""
_END_RESERVE_S = 1.0
"""Seconds after ``shutdown_timeout_s`` until a worker process that has not ended is killed."""
SILENT_MAX_S = 60.0
"""Seconds after which a worker process that has sent nothing is killed and replaced. It reports every second."""

log = structlog.get_logger()


class Process(Protocol):
    """The worker process: a ``subprocess.Popen``."""

    def wait(self) -> int: ...
    def kill(self) -> None: ...


class WorkerProcess:
    """Starts the worker process, and starts it again if it dies.

    For ``PubSub``, it is a connection to another process.

    Args:
        settings: those of the server; the worker process reads them from the environment.

    Raises:
        SettingsError: a setting that only the worker process uses is wrong; the server must not start with it.
    """

    def __init__(self, settings: Settings) -> None:
        AllowList.parse(settings.outbound_allow)
        if settings.mailbox is not None and settings.mailbox.password is None:
            from shopbell.channels.email.access_tokens import token_endpoint  # few installations need it

            token_endpoint(settings)
        self._arguments = [DEMO] if settings.is_demo else []
        self._patience_s = settings.shutdown_timeout_s + _END_RESERVE_S
        self._line: Line | None = None
        self._process: Process | None = None
        self._task: SupervisedTask | None = None
        self._is_waiting = False
        self._has_news = False
        self._ending = asyncio.Event()
        self._ends_at_s = 0.0
        self._metrics: list[Metric] = []
        self._counted: dict[tuple[str, ...], float] = {}
        self._failing: list[str] = []
        self._heard_at_s = 0.0

    @property
    def failing(self) -> list[str]:
        """Names of the tasks in the worker process that died a moment ago."""
        return self._failing

    async def start(self, heard: Heard, on_signal: SignalHandler) -> None:
        """Start the process, without waiting for it.

        Args:
            heard: called with the ids of organizations for which it has news.
            on_signal: called with each of its signals.
        """
        self._heard = heard
        self._on_signal = on_signal
        REGISTRY.register(self)
        self._task = supervise("worker process", self._run)

    def publish(self, organization_ids: Collection[int]) -> None:  # noqa: ARG002 - it looks for itself
        """Tell the process that there is news, if it waits for some."""
        if self._is_waiting and self._line is not None:
            self._is_waiting = False
            self._line.send(LOOK)
        else:
            self._has_news = True

    def signal(self, signal: Signal) -> None:
        """Do nothing: only browsers and API clients use signals."""

    def expect(self) -> None:
        """Do nothing: the process always sends its news."""

    def end(self) -> None:
        """Let the process take no new work, and end."""
        if not self._ending.is_set():
            self._ending.set()
            self._ends_at_s = time.monotonic() + self._patience_s
            if self._line is not None:
                self._line.send(END)

    async def close(self) -> None:
        """End the process; kill it if it does not end within the time for shutting down."""
        if self._task is None:
            return
        self.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, self._ends_at_s - time.monotonic())):
                await self._task.ended()
        if self._process is not None:
            self._process.kill()
        await self._task.ended()
        with suppress(KeyError):
            REGISTRY.unregister(self)

    def collect(self) -> Iterator[Metric]:
        """The metrics of the process, for Prometheus."""
        yield from self._metrics

    async def _run(self) -> None:
        if self._ending.is_set():
            return
        here, there = socket.socketpair()
        with there:
            process = self._process = self._start(there)
        lost = asyncio.Event()
        self._heard_at_s = time.monotonic()
        try:
            self._line = await Line.open(here, self._receive, lost.set)
            if self._ending.is_set():
                self._line.send(END)
            await self._until_lost(lost)
        except BaseException:
            process.kill()  # another one is started
            raise
        finally:
            here.close() if self._line is None else self._line.close()
            self._line, self._is_waiting, self._metrics, self._counted, self._failing = None, False, [], {}, []
            code = await asyncio.to_thread(process.wait)
            self._process = None
            if isinstance(process, subprocess.Popen):
                metrics_folder.forget(process.pid)
        if not self._ending.is_set():
            log.warning("worker process died, starting another", exit_code=code)
            raise ChildProcessError(code)

    async def _until_lost(self, lost: asyncio.Event) -> None:
        """Wait until the process closes its end.

        Raises:
            TimeoutError: it has been silent for too long.
        """
        while not self._ending.is_set():
            silent_s = time.monotonic() - self._heard_at_s
            if silent_s >= SILENT_MAX_S:
                log.error("worker process does not respond, starting another", silent_s=round(silent_s))
                raise TimeoutError
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENT_MAX_S - silent_s):
                    await lost.wait()
                    return
        await lost.wait()

    def _start(self, end: socket.socket) -> Process:
        # The server ends the process. Systemd signals all processes of a service, and a terminal all of a group.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            return subprocess.Popen(
                [sys.executable, *PROGRAM, str(end.fileno()), *self._arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=(end.fileno(),),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _receive(self, message: str) -> None:
        self._heard_at_s = time.monotonic()
        if message == WAIT:
            if self._has_news and self._line is not None:
                self._has_news = False
                self._line.send(LOOK)
            else:
                self._is_waiting = True
        elif message.startswith(IDS):
            self._heard([int(each) for each in message.removeprefix(IDS).split(",")])
        elif message.startswith(signals.MARK):
            for each in signals.decode(message):
                self._on_signal(each)
        elif message.startswith(ALIVE):
            self._failing = [name for name in message.removeprefix(ALIVE).split(",") if name]
        elif message.startswith(METRICS):
            self._note_metrics(orjson.loads(message.removeprefix(METRICS)))

    def _note_metrics(self, text: str) -> None:
        found = {metric.name: metric for metric in text_string_to_metric_families(text)}
        for name, counter in _SHARED.items():
            metric = found.pop(name, None)
            for sample in metric.samples if metric else ():
                if sample.name.endswith("_total"):
                    counted = name, *sample.labels.values()
                    own = counter.labels(**sample.labels) if sample.labels else counter
                    own.inc(sample.value - self._counted.get(counted, 0))
                    self._counted[counted] = sample.value
        self._metrics = list(found.values())
