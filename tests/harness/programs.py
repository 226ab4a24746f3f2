"""Programs of Debian packages."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from harness.processes import wait_for_end
from harness.waiting import TIMEOUT_S, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str, package: str) -> str:
    """Return the path of a program that a Debian package contains.

    Raises:
        AssertionError: it is not installed.
    """
    path = shutil.which(name, path=PATH)
    assert path is not None, f"this test needs {name} (Debian: apt-get install {package})"
    return path


class PackagedServer:
    """A server of a Debian package, with a folder of its own.

    A subclass takes the folder and texts. It has ``command``, which starts it in the foreground, and ``started``, which
    it then writes to the file ``log`` in its folder.

    Args:
        folder: one that every user may enter.
    """

    command: Sequence[str]
    started: str

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def running(cls, *arguments: str) -> Iterator[Self]:
        """A server that runs while the block does.

        Args:
            arguments: of the class, behind the folder.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"{cls.__name__.lower()}-"))
        folder.chmod(0o755)
        try:
            server = cls(folder, *arguments)
            server.start()
            try:
                yield server
            finally:
                server.stop()
        finally:
            shutil.rmtree(folder)

    @property
    def log(self) -> str:
        """All that it has logged."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self.command)
        wait_until(lambda: self.started in self.log, lambda: f"{self.command[0]} does not start:\n{self.log}")

    def stop(self) -> None:
        """End it, with all connections."""
        assert self._process is not None
        self._process.terminate()
        wait_for_end(self._process, TIMEOUT_S, lambda: self.log)
