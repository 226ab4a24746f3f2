"""What an import did, and what it left out. It holds no private data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TextIO

_PLACES_MAX = 5


class Place(NamedTuple):
    """Where something is in the files."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class _Skipped:
    count: int = 0
    places: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Counts what an import did.

    Args:
        is_dry_run: whether nothing is written.
        details: receives a JSON object per line for everything that is left out.

    Attributes:
        customers_new: customers who were created.
        customers_known: customers who were there before.
        conversations: conversations that were imported.
        messages: messages that were imported.
    """

    is_dry_run: bool
    details: TextIO | None = None
    customers_new: int = 0
    customers_known: int = 0
    conversations: int = 0
    messages: int = 0
    _skipped: dict[tuple[str, str], _Skipped] = field(default_factory=dict)

    def skip(self, kind: str, reason: str, place: Place, id_: str = "") -> None:
        """Count something that is left out.

        Args:
            kind: what it is: ``record``, ``conversation``, ``message``, ``contact``, ``tag``, ``file`` or ``author``.
            reason: the reason, without data from the files.
            id_: its id in the other product.
        """
        skipped = self._skipped.setdefault((kind, reason), _Skipped())
        skipped.count += 1
        if len(skipped.places) < _PLACES_MAX:
            skipped.places.append(str(place))
        if self.details is not None:
            found = {"kind": kind, "reason": reason, "file": place.file, "line": place.line, "id": id_ or None}
            self.details.write(json.dumps(found) + "\n")

    def count(self, kind: str, reason: str) -> int:
        """How often something was left out."""
        found = self._skipped.get((kind, reason))
        return found.count if found else 0

    @property
    def rows(self) -> list[tuple[str, str, int, str]]:
        """Kind, reason, count and first places of what was left out, the most frequent first."""
        found = sorted(self._skipped.items(), key=lambda item: (-item[1].count, item[0]))
        return [(kind, reason, each.count, " ".join(each.places)) for (kind, reason), each in found]

    def as_json(self) -> Mapping[str, Any]:
        """Return the report for ``--json``."""
        return {
            "dryRun": self.is_dry_run,
            "customers": {"new": self.customers_new, "known": self.customers_known},
            "conversations": self.conversations,
            "messages": self.messages,
            "skipped": [
                {"kind": kind, "reason": reason, "count": each.count, "places": each.places}
                for (kind, reason), each in sorted(self._skipped.items())
            ],
        }
