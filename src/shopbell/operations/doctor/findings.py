"""What ``shopbell doctor`` finds."""

from dataclasses import dataclass
from enum import Enum

CLOCK_TOLERANCE_MS = 5_000
"""Difference of two clocks above which they are not synchronized."""


class Level(Enum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: its name, what was found, and how to fix it."""

    level: Level
    name: str
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding for ``--json``."""
        return {"level": self.level.value, "name": self.name, "detail": self.detail, "remedy": self.remedy}


def ok(name: str, detail: str) -> Finding:
    """The finding of a check without problems."""
    return Finding(Level.OK, name, detail)
