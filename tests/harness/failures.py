"""A test that fails shows what the servers had to say."""

import re
from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet

from harness import session

_LINES = 20
_TROUBLE = re.compile(r"\b(warning|error|critical)\b", re.IGNORECASE)

_QUICK = re.compile(r"checkpoint starting|checkpoint complete.* total=0\.")
"""Checkpoints that took less than a second. Longer ones tell that the disk is slow."""


class Logs(Protocol):
    """A process of Shopbell, or a thread in its place."""

    @property
    def log(self) -> str:
        """All that it has logged so far."""


STARTED: "WeakSet[Logs]" = WeakSet()
"""All that has a log; each adds itself when it starts."""


def sections() -> Iterator[tuple[str, str]]:
    """The warnings and errors of all servers, each with a title."""
    for number, started in enumerate(STARTED, 1):
        trouble = [line for line in started.log.splitlines() if _TROUBLE.search(line)]
        if trouble:
            yield f"log of {type(started).__name__} {number}", "\n".join(trouble[-_LINES:])
    for log in session.folder().glob("postgres-*/log"):
        lines = log.read_text(errors="replace").splitlines()
        yield "log of PostgreSQL", "\n".join([line for line in lines if not _QUICK.search(line)][-_LINES:])
