"""Shopbell in the test process: a server in a thread, and commands.

Both start in a fraction of the time of a process, a debugger stops in them, and no process is left when the tests are
interrupted. They cannot die: a test that kills its server, or looks at its process, belongs into ``tests/process``.
"""

import asyncio
import atexit
import contextlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from unittest import mock

import structlog
import uvloop

from shopbell import logs
from shopbell.app import create_app
from shopbell.cli import main
from shopbell.http.server.server import Server
from shopbell.runtime import log_output
from shopbell.runtime.listening import listen
from shopbell.settings.settings import Settings, load
from shopbell.workers import process
from shopbell.workers.worker_process import WorkerProcess

STOP_TIMEOUT_S = 60
_TICK_S = 1
_DEFAULT_OUTBOX = "SHOPBELL_MAIL_OUTBOX"


class _Server(Server):
    """The server without what concerns its process: signals, and ``os._exit`` when the end takes too long."""

    async def main_loop(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        while not self.should_exit:
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), _TICK_S)
        self.server_state.draining = True
        self.lifespan.state["draining"] = True
        self.lifespan.state["end_waits"]()
        self.server_state.closing = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        """End in order; called from another thread."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._end.set)


class WorkerTask(WorkerProcess):
    """The worker process of a server, in a task of the server's event loop."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._settings = settings

    def _start(self, end: socket.socket) -> "_Task":
        return _Task(self._settings, end.dup())

    def _note_metrics(self, text: str) -> None:
        """Add nothing: the worker counts in the metrics of this process."""


class _Task:
    """A task with the interface of a process."""

    def __init__(self, settings: Settings, end: socket.socket) -> None:
        self._ended = threading.Event()
        self._task = asyncio.create_task(process.serve(settings, end, lambda: None))
        self._task.add_done_callback(lambda _: (end.close(), self._ended.set()))

    def wait(self) -> int:
        self._ended.wait()
        return 0 if self._task.cancelled() or self._task.exception() is None else 1

    def kill(self) -> None:
        self._task.cancel()


class ServerThread:
    """A server in a thread of this process: it runs once this returns, until ``stop``.

    Args:
        port: where it listens on 127.0.0.1.
        environment: its settings, as a process would get them.
        folder: where it writes by default.

    Raises:
        ShopbellError: it could not start.
    """

    def __init__(self, port: int, environment: Mapping[str, str], folder: Path) -> None:
        log = _log_path()
        self._log_begin_bytes = log.stat().st_size
        # Read as a process reads them: from the environment.
        with mock.patch.dict(os.environ, {_DEFAULT_OUTBOX: str(folder / "data" / "outbox")} | dict(environment)):
            settings = load(host="127.0.0.1", port=port)
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(settings, port), name=f"Shopbell on port {port}")
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self, settings: Settings, port: int) -> None:
        try:
            with listen("127.0.0.1", port, remedy="another port") as listener:
                self._server = _Server(settings, create_app(settings, worker_process=WorkerTask), self._started.set)
                uvloop.run(self._server.serve([listener]))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            self._failure = error
        finally:
            self._started.set()

    @property
    def log(self) -> str:
        """What was logged in this process since it started, by other servers of this process, too."""
        with _log_path().open("rb") as log:
            log.seek(self._log_begin_bytes)
            return log.read().decode(errors="replace")

    def is_running(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop it in order."""
        self._server.end()
        self._thread.join(STOP_TIMEOUT_S)
        assert not self._thread.is_alive(), f"the server did not end within {STOP_TIMEOUT_S} s:\n{self.log}"
        if self._failure is not None:
            raise self._failure


def run_command(arguments: list[str], cwd: Path, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, and return what it printed."""
    _log_path()
    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        Path(os.devnull).open() as nothing,
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.multiple(sys, argv=["shopbell", *arguments], stdin=nothing, stdout=output, stderr=errors),
        contextlib.chdir(cwd),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:  # noqa: BLE001 - as the interpreter does
            traceback.print_exc()
            code = 1
    printed = []
    for stream in (output, errors):
        stream.seek(0)
        printed.append(stream.read())
    return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 1, *printed)


@cache
def _log_path() -> Path:
    """The file in which this process logs: what a process does with its standard error, done once for all servers."""
    handle, name = tempfile.mkstemp(prefix="shopbell-log-")
    atexit.register(Path(name).unlink)
    log_output._output = log_output.LogOutput(handle)
    logs.configure(Settings(log_format="console"))
    structlog.configure(cache_logger_on_first_use=False)  # tests look at single loggers
    logs.configure = lambda settings: None  # type: ignore[assignment]
    return Path(name)
