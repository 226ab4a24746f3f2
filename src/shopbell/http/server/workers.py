"""Several server processes on one port: started together, replaced if one dies or hangs, ended together."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType

import structlog
from prometheus_client.multiprocess import mark_process_dead

from shopbell.errors import CommandError
from shopbell.settings.settings import Settings

WORKER_MODULE = "shopbell.http.server.server"
ALIVE = b"1"
"""What a worker reports when it is ready, and then again and again."""
ALIVE_EVERY_S = 1.0
SILENT_MAX_S = 60.0
"""Seconds after which a worker that has reported nothing is killed and replaced."""
_LOOK_S = 0.1
_REPORTS_MAX_BYTES = 1_024
_RESTART_DELAY_S = 1.0
_END_RESERVE_S = 1.7
"""Seconds after its own deadline until a worker that has not ended is killed."""

log = structlog.get_logger()


class Worker:
    """One server process and a socket to it. It reports ``ALIVE`` there, and ends when the socket closes."""

    def __init__(self, listener: socket.socket, factory: str) -> None:
        self.is_ready = False
        self._silent_looks = 0
        self._line, far_end = socket.socketpair()
        self._line.setblocking(False)
        with far_end:
            handles = (listener.fileno(), far_end.fileno())
            self.process = subprocess.Popen(
                # -P: as in the supervisor, no module is imported from the working directory
                [sys.executable, "-P", "-m", WORKER_MODULE, factory, *map(str, handles)],
                stdin=subprocess.DEVNULL,
                pass_fds=handles,
                start_new_session=True,  # Ctrl-C goes to the supervisor only, which then signals its workers
            )

    def look(self) -> bool:
        """Note what it reports, and return whether it still runs. Call it every ``_LOOK_S``."""
        if self.process.poll() is not None:
            return False
        self._silent_looks += self.is_ready  # its start may take long
        # It has reported nothing, or has died since.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self._line.recv(_REPORTS_MAX_BYTES):
                self.is_ready = True
                self._silent_looks = 0
        return True

    @property
    def silent_s(self) -> float:
        """Seconds since its last report, without those in which the supervisor was paused, too."""
        return self._silent_looks * _LOOK_S

    def tell(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it. Its death is noticed at one of the next looks."""
        self._silent_looks = 0
        self.tell(signal.SIGKILL)

    def has_ended_well(self) -> bool:
        """Return whether it ended in order. A worker that was still starting may die of SIGTERM."""
        code = self.process.returncode
        return code == 0 or (code == -signal.SIGTERM and not self.is_ready)

    def close(self) -> None:
        """Close the socket to a process that has ended."""
        self._line.close()


class Supervisor:
    """Keeps the configured number of workers running.

    Args:
        listener: the listening socket, from which all workers accept.
        factory: ``module:function`` that creates the application.
        settings: the settings, which are in the environment too.
        on_started: called once, when every worker answers requests.
        on_stopping: called once, when a signal has arrived.
        on_alive: called several times a second until then.
        serving_metrics: entered while the workers run; in it, the port for metrics responds, for all workers.
    """

    def __init__(
        self,
        listener: socket.socket,
        factory: str,
        settings: Settings,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None],
        on_alive: Callable[[], None],
        serving_metrics: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._count = settings.workers
        self._patience_s = settings.drain_delay_s + settings.shutdown_timeout_s + _END_RESERVE_S
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._on_alive = on_alive
        self._serving_metrics = serving_metrics
        self._signals: list[int] = []
        self._workers: list[Worker] = []
        self._was_ready = False

    def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT.

        Raises:
            CommandError: a worker could not start, or did not end in order.
        """
        former = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        self._metrics_folder = tempfile.mkdtemp(prefix="shopbell-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = self._metrics_folder
        try:
            with self._serving_metrics():
                self._workers = [Worker(self._listener, self._factory) for _ in range(self._count)]
                has_started = self._watch()
                if has_started:
                    self._on_stopping()
                # No process would answer new connections.
                self._listener.close()
                has_ended = self._end()
        finally:
            for worker in self._workers:
                worker.tell(signal.SIGKILL)
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
            shutil.rmtree(self._metrics_folder, ignore_errors=True)
            for number, handler in former.items():
                signal.signal(number, handler)
        if not has_started:
            raise CommandError("a worker could not start; the lines above say why")
        if not has_ended:
            raise CommandError("a worker did not end in order; the lines above may say why")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _watch(self) -> bool:
        """Replace workers that die or hang, until a signal arrives. Return False if the first ones could not start."""
        while not self._signals:
            self._on_alive()
            for place, worker in enumerate(self._workers):
                if worker.look():
                    if worker.silent_s >= SILENT_MAX_S:
                        log.error("worker does not respond, killing it", silent_s=round(worker.silent_s))
                        worker.kill()
                    continue
                self._bury(worker)
                if not self._was_ready and worker.process.returncode > 0:
                    return False  # it has printed the reason, and would fail again
                log.warning("worker died, starting another", exit_code=worker.process.returncode)
                if not worker.is_ready:
                    time.sleep(_RESTART_DELAY_S)
                try:
                    self._workers[place] = Worker(self._listener, self._factory)
                except OSError as error:  # the other workers serve on; try again at the next look
                    log.error("could not start a worker, trying again", exc_info=error)
                    time.sleep(_RESTART_DELAY_S)
            if not self._was_ready and all(worker.is_ready for worker in self._workers):
                self._was_ready = True
                self._on_started()
            time.sleep(_LOOK_S)
        return True

    def _end(self) -> bool:
        """End all workers, and return whether all ended in order."""
        deadline_s = time.monotonic() + self._patience_s
        for worker in self._workers:
            worker.look()
            worker.tell(signal.SIGTERM)
        told = len(self._signals)
        while any(worker.process.poll() is None for worker in self._workers):
            for number in self._signals[told:]:
                for worker in self._workers:
                    worker.tell(number)
            told = len(self._signals)
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_LOOK_S)
        for worker in self._workers:
            self._bury(worker)
        return all(worker.has_ended_well() for worker in self._workers)

    def _bury(self, worker: Worker) -> None:
        worker.close()
        with contextlib.suppress(OSError):  # wrong metrics must not end the other workers
            mark_process_dead(worker.process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]  # no types
