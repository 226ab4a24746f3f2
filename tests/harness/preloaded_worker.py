"""The worker process of a server that was forked: it is forked, too.

It is forked before its server runs, waits until the server would start it, and is the server's child. The worker
process that replaces one that died is started from nothing, and so is each one if ``PLAIN_WORKER`` is in the
environment.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

from shopbell.workers.worker_process import PROGRAM, Process, WorkerProcess

MODULE = PROGRAM[-1]
PLAIN_WORKER = "PLAIN_WORKER_PROCESS"
_LENGTH_BYTES = 8


def is_wanted(arguments: list[str], env: Mapping[str, str]) -> bool:
    """Whether a command is a server that will start its only worker process."""
    delivers = env.get("SHOPBELL_RUN_WORKER", "").lower() not in ("false", "0")
    return arguments[0] == "serve" and "--workers" not in arguments and delivers and PLAIN_WORKER not in env


def prepare() -> bool:
    """Fork the worker process; returns true in it once its server starts it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become_worker(theirs)
        return True
    theirs.close()
    start_from_nothing = WorkerProcess._start

    def start(self: WorkerProcess, end: socket.socket) -> Process:
        WorkerProcess._start = start_from_nothing  # type: ignore[method-assign]
        order = json.dumps({"arguments": self._arguments, "env": dict(os.environ)}).encode()
        with ours:
            try:
                socket.send_fds(ours, [len(order).to_bytes(_LENGTH_BYTES)], [end.fileno()])
                ours.sendall(order)
            except OSError:  # a test has killed it
                return start_from_nothing(self, end)
        return _Forked(pid)

    WorkerProcess._start = start  # type: ignore[method-assign]
    return False


def _become_worker(connection: socket.socket) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    length, files, _, _ = socket.recv_fds(connection, _LENGTH_BYTES, 1)
    if not length:
        os._exit(0)  # the server has ended
    with connection, connection.makefile("rb") as reader:
        order = json.loads(reader.read(int.from_bytes(length)))
    os.environ.clear()
    os.environ.update(order["env"])
    del sys.modules[MODULE]  # otherwise to run it would warn that it is imported
    sys.argv = [MODULE, str(files[0]), *order["arguments"]]
    sys.orig_argv = [sys.executable, *PROGRAM, *sys.argv[1:]]


class _Forked:
    """A child of this process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code: int | None = None

    def wait(self) -> int:
        """Wait for its end; called once."""
        self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._code

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
