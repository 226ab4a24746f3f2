"""More than one server process on one port: started together, replaced when one dies, ended together."""

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
from types import FrameType

import structlog
from prometheus_client.multiprocess import mark_process_dead

from shopbell.errors import CommandError
from shopbell.settings import Settings

WORKER_MODULE = "shopbell.http.server"
READY = b"1"
_LOOK_S = 0.1
_RESTART_DELAY_S = 1.0
_END_RESERVE_S = 1.7
"""Seconds beyond its own deadline after which a worker that does not end is killed."""

log = structlog.get_logger()


class Worker:
    """One server process, and the line to it: it says there when it is ready, and ends when the line breaks."""

    def __init__(self, listener: socket.socket, factory: str) -> None:
        self.is_ready = False
        self._line, far_end = socket.socketpair()
        self._line.setblocking(False)
        with far_end:
            handles = (listener.fileno(), far_end.fileno())
            self.process = subprocess.Popen(
                [sys.executable, "-m", WORKER_MODULE, factory, *map(str, handles)],
                stdin=subprocess.DEVNULL,
                pass_fds=handles,
                start_new_session=True,  # Ctrl-C is for the supervisor, which tells its workers
            )

    def look(self) -> bool:
        """Notice whether it has become ready; returns whether it still runs."""
        if self.process.poll() is not None:
            return False
        if not self.is_ready:
            # Not yet, or it has ended before it was ready.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self.is_ready = self._line.recv(1) == READY
        return True

    def tell(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def has_ended_well(self) -> bool:
        """Whether it ended as it should; one that was still starting may simply have died of the signal."""
        code = self.process.returncode
        return code == 0 or (code == -signal.SIGTERM and not self.is_ready)

    def close(self) -> None:
        """Forget a process that has ended."""
        self._line.close()


class Supervisor:
    """Keeps the number of workers that the settings ask for.

    Args:
        listener: the listening socket, which all workers accept from.
        factory: ``module:function`` that makes the application.
        settings: the settings, which are in the environment too.
        on_started: called once, when every worker answers requests.
        on_stopping: called once, when a signal has come.
    """

    def __init__(
        self,
        listener: socket.socket,
        factory: str,
        settings: Settings,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._count = settings.workers
        self._patience_s = settings.drain_delay_s + settings.shutdown_timeout_s + _END_RESERVE_S
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._signals: list[int] = []
        self._workers: list[Worker] = []
        self._was_ready = False

    def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT.

        Raises:
            CommandError: a worker could not start, or did not end by itself and well.
        """
        former = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        self._metrics_folder = tempfile.mkdtemp(prefix="shopbell-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = self._metrics_folder
        try:
            self._workers = [Worker(self._listener, self._factory) for _ in range(self._count)]
            has_started = self._watch()
            if has_started:
                self._on_stopping()
            # From now on nobody is to connect who would then wait for nobody.
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
            raise CommandError("a worker could not start; it says why above")
        if not has_ended:
            raise CommandError("a worker did not end in order; the lines above may say why")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _watch(self) -> bool:
        """Wait for a signal, and replace who dies; returns False when the first ones could not start."""
        while not self._signals:
            for place, worker in enumerate(self._workers):
                if worker.look():
                    continue
                self._bury(worker)
                if not self._was_ready and worker.process.returncode > 0:
                    return False  # it has said why, and would again
                log.warning("a worker has ended; another is started", exit_code=worker.process.returncode)
                if not worker.is_ready:
                    time.sleep(_RESTART_DELAY_S)
                try:
                    self._workers[place] = Worker(self._listener, self._factory)
                except OSError as error:  # the others serve on; the dead one keeps its place until the next look
                    log.error("a worker could not be started; it is tried again", exc_info=error)
                    time.sleep(_RESTART_DELAY_S)
            if not self._was_ready and all(worker.is_ready for worker in self._workers):
                self._was_ready = True
                self._on_started()
            time.sleep(_LOOK_S)
        return True

    def _end(self) -> bool:
        """End all workers; returns whether all ended by themselves and well."""
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
        with contextlib.suppress(OSError):  # numbers that are wrong are no reason to end the other workers
            mark_process_dead(worker.process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]  # no types
