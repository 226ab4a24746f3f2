"""Shopbell processes forked from one that has imported Shopbell.

More than half of what the suite costs was a thousand times the same imports. So one process for each worker of the
suite imports the program once and forks for every start: what runs is a process of its own as ever, with its own
arguments, environment, folder and files, that is killed and waited for by its id. Where ``SHOPBELL_PLAIN_STARTS`` is
set (`make test-long`) every process is started from nothing; ``tests/process/cli/test_starts.py`` always does so for
each command.

Run as a program it is the process that forks: ``python -m harness.preloaded FD``.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import IO, Any

from harness import preloaded_worker
from harness.processes import wait_for_end
from shopbell import cli

PLAIN_STARTS = "SHOPBELL_PLAIN_STARTS"
PROGRAM = ("-m", "shopbell")
_MODULES = (
    *(f"shopbell.cli.{each.name}" for each in iter_modules(cli.__path__)),
    "shopbell.app",
    "shopbell.http.server.server",
    "shopbell.workers.process",
    # What a server or a worker process imports once it needs it.
    "shopbell.channels.email.folder",
    "shopbell.channels.email.render",
    "shopbell.channels.sms.folder",
    "shopbell.channels.sms.http_gateway",
    "shopbell.channels.sms.render",
    "shopbell.channels.sms.twilio",
    "shopbell.channels.sms.providers",
    "shopbell.db.session_lock",
    "shopbell.email.compose",
    "shopbell.email.texts",
    "shopbell.realtime.notify",
    "encodings.idna",
    "jinja2",
    "uvicorn.loops.uvloop",
    "shopbell.operations.doctor.doctor",
    "shopbell.operations.sqlite_to_postgres",
    "shopbell.operations.backups.backup",
    "shopbell.operations.backups.restore",
    "shopbell.safe_http.transport",
    "alembic.command",
    "uvloop",
)
_TO_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "TZ", "LD_")  # read once, when an interpreter starts
_PATH = "PYTHONPATH"
_LENGTH_BYTES = 8


class Preloaded:
    """A process that was forked, as ``subprocess.Popen`` has it: the part of it that the tests use."""

    def __init__(self, connection: socket.socket, arguments: list[str]) -> None:
        self.args = arguments
        self.returncode: int | None = None
        # Not the socket: thrown away with a test that failed, it would warn, and fail whichever test runs by then.
        self._connection: int | None = connection.detach()
        self.pid = int(self._read())

    def poll(self) -> int | None:
        """The exit code, minus the signal's number where one has ended it; None while it runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(self._read()))
            self._close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; ``subprocess.TimeoutExpired`` when it does not come in so many seconds."""
        if self.returncode is None and not select.select([self._connection], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # its end is about to be told
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> bytes:
        assert self._connection is not None
        read = b""
        while len(read) < _LENGTH_BYTES:
            piece = os.read(self._connection, _LENGTH_BYTES - len(read))
            assert piece, "the process that forks has died"
            read += piece
        return read

    def _close(self) -> None:
        if self._connection is not None:
            os.close(self._connection)
            self._connection = None

    def __del__(self) -> None:
        self._close()


class _Forker:
    """The process that forks, and the way to it.

    Args:
        path: where it looks for modules first, as in ``PYTHONPATH``; may be empty.
    """

    def __init__(self, path: str) -> None:
        self._control, theirs = socket.socketpair()
        first = path.split(os.pathsep)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.preloaded", str(theirs.fileno())],
                env=os.environ | {_PATH: os.pathsep.join(each for each in (*first, *sys.path) if each)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # no terminal: what is decided by that is decided as for a captured command
                pass_fds=[theirs.fileno()],
            )

    def start(self, arguments: list[str], cwd: Path, env: Mapping[str, str], files: tuple[int, int, int]) -> Preloaded:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"+"], [theirs.fileno(), *files])
        order = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
        ours.sendall(len(order).to_bytes(_LENGTH_BYTES) + order)
        return Preloaded(ours, [*PROGRAM, *arguments])

    def stop(self) -> None:
        self._control.close()
        wait_for_end(self._process, 30, lambda: "it writes no log")


_forkers: dict[str, _Forker] = {}  # of this worker, once it is needed, by PYTHONPATH
_lock = threading.Lock()


def stop() -> None:
    """End the processes that fork; those that they started go on."""
    while _forkers:
        _forkers.popitem()[1].stop()


def start(
    program: tuple[str, ...], arguments: list[str], *, cwd: Path, env: Mapping[str, str], output: IO[Any], errors: Any
) -> "Preloaded | subprocess.Popen[bytes]":
    """Start a process of Shopbell's that reads nothing.

    Args:
        program: what Python runs; forked is ``-m shopbell`` alone.
        arguments: of the command.
        cwd: where it runs.
        env: its whole environment.
        output: the file that gets what it says.
        errors: the file that gets its errors, or ``subprocess.STDOUT``.
    """
    if program != PROGRAM or PLAIN_STARTS in os.environ or for_the_interpreter(env) != for_the_interpreter(os.environ):
        command = [sys.executable, *program, *arguments]
        return subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
    with _lock:
        path = env.get(_PATH, "")
        if path not in _forkers:
            _forkers[path] = _Forker(path)
    with Path(os.devnull).open("rb") as nothing:
        files = (nothing.fileno(), output.fileno(), output.fileno() if errors == subprocess.STDOUT else errors.fileno())
        return _forkers[path].start(arguments, cwd, env, files)


def run(
    program: tuple[str, ...], arguments: list[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, and return what it said; it is killed, and the test fails, after so many seconds."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start(program, arguments, cwd=cwd, env=env, output=output, errors=errors)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess(arguments, code, *said)


def for_the_interpreter(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that an interpreter reads once, when it starts."""
    return {name: env[name] for name in env if name.startswith(_TO_THE_INTERPRETER) and name != _PATH}


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    got = b""
    while len(got) < length:
        piece = connection.recv(length - len(got))
        if not piece:
            return None
        got += piece
    return got


def _fork_on_demand(control: socket.socket) -> dict[str, Any]:
    """Fork for every order that comes; returns in each new process, with its order."""
    while True:
        said, files, _, _ = socket.recv_fds(control, 1, 4)
        if not said:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            return _watched(socket.socket(fileno=files[0]), files[1:])
        for file in files:
            os.close(file)
        while _has_ended():
            pass


def _has_ended() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _watched(connection: socket.socket, files: list[int]) -> dict[str, Any]:
    """Become the process that was ordered, below one that waits for its end and tells it."""
    length = _exactly(connection, _LENGTH_BYTES)
    order = _exactly(connection, int.from_bytes(length or b""))
    pid = os.fork()
    if pid == 0:
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        ordered: dict[str, Any] = json.loads(order or b"")
        return ordered
    for file in (*files, 0, 1, 2):  # a reader of the process's pipe must see its end
        os.close(file)
    connection.sendall(b"%*d" % (_LENGTH_BYTES, pid))
    _, status = os.waitpid(pid, 0)
    try:
        connection.sendall(b"%*d" % (_LENGTH_BYTES, status))
    finally:
        os._exit(0)


def _main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in _MODULES:
        __import__(module)
    warnings.filterwarnings("error", category=import_module("sqlalchemy.exc").SAWarning)
    # Ctrl-C is for the processes, not for what they come from.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    order = _fork_on_demand(control)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    time.tzset()
    sys.argv = ["shopbell", *order["arguments"]]
    sys.orig_argv = [sys.executable, *PROGRAM, *order["arguments"]]
    module = PROGRAM[-1]
    if preloaded_worker.is_wanted(order["arguments"], os.environ) and preloaded_worker.prepare():
        module = preloaded_worker.MODULE
    _run(module)


def _run(module: str) -> None:
    """Run a module as the program, and end the process.

    The modules are not torn down, which would take 0.1 s.
    """
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        code = end.code or 0
    else:
        code = 0
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # the interpreter reports it
    os._exit(code)


if __name__ == "__main__":
    _main()
