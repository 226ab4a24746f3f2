"""A moto S3 service in a process of its own on a free port of 127.0.0.1."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2

from harness.ports import free_port

START_TIMEOUT_S = 240
BUCKET = "files"


class S3:
    """One service with one bucket; what it holds is lost when it stops.

    Args:
        folder: where its log goes.
        bucket: the name of its bucket.
    """

    def __init__(self, folder: Path, bucket: str = BUCKET) -> None:
        self.bucket = bucket
        self.port = free_port()
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that keeps its attachments there, by their names."""
        return {
            "attachments_url": f"s3://{self.bucket}/kept/here",
            "attachments_s3_endpoint": self.endpoint,
            "attachments_s3_access_key_id": "the-access-key",
            "attachments_s3_secret_access_key": "the-secret-key",
        }

    def start(self) -> None:
        """Start it, again on the same port when it ran before, and make the bucket."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._makes_bucket():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline_s, "S3 did not start in time"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def listing(self, what: str = "") -> str:
        """What it says it holds: its objects, or with ``uploads`` what is only there in part."""
        return httpx2.get(f"{self.endpoint}/{self.bucket}?{what}", trust_env=False).text

    def _makes_bucket(self) -> bool:
        try:
            return httpx2.put(f"{self.endpoint}/{self.bucket}", trust_env=False, timeout=60).status_code == 200
        except httpx2.TransportError:
            return False
