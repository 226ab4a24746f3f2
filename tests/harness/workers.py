"""Real ``shopbell worker`` processes."""

import signal
import subprocess
import time

from harness import preloaded
from harness.installation import START_TIMEOUT_S, STOP_TIMEOUT_S, Installation


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

    def terminate(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not end within {STOP_TIMEOUT_S} s:\n{self.log}") from None

    def stop(self) -> None:
        """End it, whatever its state."""
        if self._process.poll() is None:
            self.terminate()
