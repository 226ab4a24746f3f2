"""Real ``shopbell worker`` processes."""

import signal
import subprocess
import time

from harness import failures, preloaded
from harness.installation import START_TIMEOUT_S, STOP_TIMEOUT_S, Installation
from harness.processes import wait_for_end


class WorkerProcess:
    """One process that delivers.

    Args:
        installation: whose outbox.
        number: tells its log from others'.
        settings: by their names without the prefix, in lower case.
    """

    def __init__(self, installation: Installation, number: int = 0, **settings: object) -> None:
        self._log_path = installation.folder / f"worker-{number}.log"
        with self._log_path.open("ab") as log:
            self._process = preloaded.start(
                installation.server_program,
                ["worker"],
                cwd=installation.folder,
                env=installation.environment | {f"SHOPBELL_{name.upper()}": str(settings[name]) for name in settings},
                output=log,
                errors=subprocess.STDOUT,
            )
        failures.STARTED.add(self)

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return self._log_path.read_text(errors="replace")

    @property
    def has_started(self) -> bool:
        """Whether it delivers."""
        assert self._process.poll() is None, f"the worker ended with {self._process.returncode}:\n{self.log}"
        return "Shopbell delivers webhooks" in self.log

    def wait_until_started(self) -> None:
        """Wait until it delivers."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self.has_started:
            assert time.monotonic() < deadline_s, f"the worker does not start:\n{self.log}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Wait until it ends; returns its exit code."""
        return wait_for_end(self._process, START_TIMEOUT_S, lambda: self.log)

    def terminate(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return wait_for_end(self._process, STOP_TIMEOUT_S, lambda: self.log)

    def stop(self) -> None:
        """End it, whatever its state."""
        if self._process.poll() is None:
            self.terminate()
