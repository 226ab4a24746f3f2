"""``shopbell demo`` as ``make run`` starts it."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.installation import STOP_TIMEOUT_S, Database, Installation
from harness.ports import free_port
from harness.processes import wait_for_end


@dataclass(frozen=True)
class RunningDemo:
    """A demo that runs, and what it knows."""

    installation: Installation
    url: str
    facts: dict[str, Any]

    @property
    def business(self) -> str:
        """The id of its first business."""
        return str(self.facts["businessIds"][0])

    @property
    def token(self) -> str:
        """Its API token."""
        return str(self.facts["token"])

    @property
    def site(self) -> str:
        """Its base URL on ``localhost``: browsers accept no passkeys on an IP address."""
        return self.url.replace("127.0.0.1", "localhost")

    def invite(self, role: str = "owner") -> tuple[str, str]:
        """Invite an employee; returns their address and the link."""
        email = f"{uuid.uuid4().hex[:12]}@staff.example"
        of = ("--organization", str(self.facts["organizationId"]), "--name", "Alice Miller", "--role", role)
        link = self.installation.cli("employee", "invite", email, *of)["link"]
        return email, self.site + urlsplit(link).path


@contextmanager
def running_demo(folder: Path, port: int = 0, **settings: str) -> Iterator[RunningDemo]:
    """A demo of its own, on SQLite, until the block ends.

    Args:
        folder: where its ``data`` lies.
        port: where it listens; 0 chooses a free port.
        settings: environment variables beside the usual ones.
    """
    installation = Installation(Database(f"sqlite:///{folder}/data/shopbell.db"), folder)
    port = port or free_port()
    log = folder / "demo.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "shopbell", "demo", "--port", str(port)],
            cwd=folder,
            env=installation.environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        printed = next((line for line in process.stdout if line.startswith("curl ")), None)
        assert printed, f"the demo did not start:\n{log.read_text()}"
        facts = json.loads((folder / "data" / "demo.json").read_bytes())
        yield RunningDemo(installation, f"http://127.0.0.1:{port}", facts)
    finally:
        process.terminate()
        process.stdout.close()
        wait_for_end(process, STOP_TIMEOUT_S, log.read_text)
