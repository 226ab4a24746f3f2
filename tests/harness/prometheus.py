"""A real Prometheus (Debian: ``apt-get install prometheus``)."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from harness.ports import free_port
from harness.processes import wait_for_end
from harness.waiting import wait_until

_MISSING = "Prometheus is not installed (Debian: apt-get install prometheus)"
TIMEOUT_S = 120


def promtool(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the checker of Prometheus' files."""
    program = shutil.which("promtool")
    assert program is not None, _MISSING
    command = [program, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


class Prometheus:
    """A running Prometheus.

    Args:
        url: where its API is.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, trust_env=False, timeout=TIMEOUT_S)

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression, now."""
        answer = self._client.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The rules of its only group, as it evaluated them."""
        (group,) = self._client.get("/api/v1/rules").json()["data"]["groups"]
        found: list[dict[str, Any]] = group["rules"]
        return found

    def close(self) -> None:
        """Close the connections to it."""
        self._client.close()


@contextmanager
def prometheus(configuration: Path) -> Iterator[Prometheus]:
    """Run one with a configuration while the block runs; its data is beside the file."""
    program = shutil.which("prometheus")
    assert program is not None, _MISSING
    address, folder = f"127.0.0.1:{free_port()}", configuration.parent
    options = (f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *options, f"--web.listen-address={address}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    running = Prometheus(f"http://{address}")
    try:
        wait_until(running.is_ready, lambda: (folder / "prometheus.log").read_text(), TIMEOUT_S)
        yield running
    finally:
        running.close()
        process.terminate()
        wait_for_end(process, TIMEOUT_S, (folder / "prometheus.log").read_text)
