"""The real server with the application of ``bare_app.py``, as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness import TESTS
from harness.installation import SECRET_KEY
from harness.raw_connection import request


class BareServer:
    """The real server with the small application."""

    def __init__(self, folder: Path, *changes: str, **settings: object) -> None:
        port_file = folder / "port"
        own = {"SHOPBELL_DATABASE_URL": f"sqlite:///{folder}/none.db", "SHOPBELL_SECRET_KEY": SECRET_KEY}
        path = os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", "")))
        self._log_file = folder / "log"
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "harness.bare_app",
                    str(port_file),
                    json.dumps({"port": 0, **settings}),
                    *changes,
                ],
                cwd=folder,
                env=os.environ | own | {"PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline_s = time.monotonic() + 60
        while not port_file.exists():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline_s, self.log
            time.sleep(0.02)
        self.port = int(port_file.read_text())

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return self._log_file.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def get(path: str, *headers: str) -> bytes:
    """The bytes of a GET."""
    return request(b"", *headers, method="GET", path=path)
