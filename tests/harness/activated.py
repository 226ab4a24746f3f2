"""Servers that get their listening socket from a service manager, which here is the test.

Run as a program, it becomes a service: ``python -m harness.activated FD PROGRAM …`` passes the socket on as
sd_listen_fds(3) says.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from harness import TESTS
from harness.installation import Installation
from harness.processes import wait_for_end
from harness.waiting import wait_until

FIRST_FD = 3
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 120


class Manager:
    """What a service manager keeps for a service while its processes come and go.

    Args:
        installation: whose server it runs.
        folder: where the socket for reports and the log are. The path of a socket has at most 107 bytes.
    """

    def __init__(self, installation: Installation, folder: Path) -> None:
        self._installation = installation
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
        self.port: int = self.listener.getsockname()[1]
        self._reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports.bind(str(folder / "notify"))
        self._reports.setblocking(False)
        self._environment = {"NOTIFY_SOCKET": str(folder / "notify")}
        self._log = folder / "activated.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._states: list[str] = []

    @property
    def log(self) -> str:
        """All that its processes have logged."""
        return self._log.read_text()

    @property
    def children(self) -> list[int]:
        """The ids of the processes that its process has started."""
        assert self._process is not None
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def start(self, *arguments: str, **environment: str) -> Self:
        """Start a process, and wait until it reports that it is ready."""
        path = os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", "")))
        program = [sys.executable, *self._installation.server_program, "serve", *arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.activated", str(self.listener.fileno()), *program],
                cwd=self._installation.folder,
                env=self._installation.environment | {"PYTHONPATH": path} | self._environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self.listener.fileno()],
            )
        self._states.clear()
        wait_until(lambda: "READY=1" in self.states(), lambda: f"it is not ready:\n{self.log}", START_TIMEOUT_S)
        return self

    def states(self) -> list[str]:
        """What the process has reported; fails if it has ended with an error."""
        assert self._process is not None
        assert self._process.poll() in (None, 0), self.log
        with suppress(BlockingIOError):
            while True:
                self._states += self._reports.recv(4_096).decode().splitlines()
        return self._states

    def terminate(self) -> None:
        """End the process in order."""
        assert self._process is not None
        self._process.terminate()
        assert wait_for_end(self._process, STOP_TIMEOUT_S, lambda: self.log) == 0, self.log

    def close(self) -> None:
        """End everything."""
        self.listener.close()
        self._reports.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()  # a kill would leave its workers behind for a moment
            wait_for_end(self._process, STOP_TIMEOUT_S, lambda: self.log)


@contextmanager
def managing(installation: Installation, folder: Path) -> Iterator[Manager]:
    """A service manager while the block runs."""
    manager = Manager(installation, folder)
    try:
        yield manager
    finally:
        manager.close()


def _become_service(fd: int, program: list[str]) -> None:
    os.dup2(fd, FIRST_FD)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "shopbell.socket"}
    os.execv(program[0], program)


if __name__ == "__main__":
    _become_service(int(sys.argv[1]), sys.argv[2:])
