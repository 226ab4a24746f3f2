"""One test session: its shared folder, and the end of its processes.

Run as a program it is the session's keeper, in a process group of its own that Ctrl-C does not reach. When the session
is gone, it ends the processes that are left and removes the folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "TESTS_OF_SHOPBELL"
"""The environment variable that holds the session's folder: by it the processes of a session are known."""

_ENOUGH_BYTES = 3 * 2**29
_MEMORY = Path("/dev/shm")
_PROCESSES = Path("/proc")
_GRACE_S = 10
_KEEPER_TIMEOUT_S = 120


def folder() -> Path:
    """The folder of the session that runs."""
    return Path(os.environ[MARK])


@dataclass(frozen=True)
class Session:
    """The session of this process."""

    _keeper: "subprocess.Popen[bytes]"

    @classmethod
    def begin(cls) -> "Session":
        """Make the folder, and start the keeper, which holds the other end of a pipe."""
        made = Path(tempfile.mkdtemp(prefix="shopbell-tests-", dir=_where()))
        made.chmod(0o711)  # PostgreSQL does not run as root, and must get to its own folder
        keeper = subprocess.Popen(
            [sys.executable, "-m", "harness.session", str(made)],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            start_new_session=True,
        )
        os.environ[MARK] = str(made)
        return cls(keeper)

    def end(self) -> None:
        """Let the keeper end what is left, and wait for it."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(_KEEPER_TIMEOUT_S)


def _where() -> Path | None:
    """A file system in memory, if there is one: thousands of commits need not wait for a disk that is never cut off."""
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES:
        return _MEMORY
    return None


def _keep(kept: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()  # ends when the session closes it, or dies
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes(kept):
            _send(pid, number)
        deadline_s = time.monotonic() + _GRACE_S
        while any(processes(kept)) and time.monotonic() < deadline_s:
            time.sleep(0.02)
    shutil.rmtree(kept, ignore_errors=True)


def processes(kept: Path) -> Iterator[int]:
    """The processes that began in the environment of the session, or work in its folder, as PostgreSQL does."""
    mark = f"{MARK}={kept}".encode()
    for process in _PROCESSES.glob("[0-9]*"):
        try:
            is_marked = mark in (process / "environ").read_bytes().split(b"\0")
            is_inside = (process / "cwd").readlink().is_relative_to(kept)
        except OSError:  # it has ended, or is another user's
            continue
        if is_marked or is_inside:
            yield int(process.name)


def folder_of(pid: int) -> Path:
    """The folder of the session that a process belongs to."""
    variables = dict(
        each.partition(b"=")[::2] for each in (_PROCESSES / str(pid) / "environ").read_bytes().split(b"\0")
    )
    return Path(os.fsdecode(variables[MARK.encode()]))


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
