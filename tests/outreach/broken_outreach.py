"""``shopbell`` with one protection of what is sent taken out: the controls of these tests, which must catch each.

python broken_outreach.py CHANGE worker
"""

import sys
from pathlib import Path
from typing import Any

from shopbell.cli import main
from shopbell.outreach import dispatches

PROGRAM = Path(__file__)


def program(change: str) -> tuple[str, ...]:
    """What runs the command with this change."""
    return (str(PROGRAM), change)


def counts_afterwards() -> None:
    """Send without counting the attempt before: whoever looks later takes it for one that was never begun."""

    def start(tx: Any, due: dispatches.Due, segments: int | None, *, lease_ms: int, now_ms: int) -> dispatches.Started:
        row = due.row
        dispatches.set_columns(tx, row.organization_id, row.id, due_at_ms=now_ms + lease_ms)
        return dispatches.Started(
            row.organization_id, row.id, row.channel, row.attempts, due.is_resent, row.created_at_ms
        )

    dispatches.start = start  # type: ignore[assignment]


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    main()
