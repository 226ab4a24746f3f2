"""``shopbell`` with one protection of notifications removed, for controls.

python broken_notifications.py CHANGE worker
"""

import sys
from pathlib import Path
from typing import Any

from shopbell.cli import main
from shopbell.notifications import outbox
from shopbell.notifications.capabilities import Capabilities

PROGRAM = Path(__file__)


def program(change: str) -> tuple[str, ...]:
    """What runs the command with this change."""
    return (str(PROGRAM), change)


def counts_afterwards() -> None:
    """Send without counting the attempt before: a later worker takes it for an attempt that never began."""

    def start(tx: Any, due: outbox.Due, channel: Capabilities, segments: int | None, *, now_ms: int) -> outbox.Started:
        row = due.row
        outbox.set_columns(tx, row.organization_id, row.id, due_at_ms=now_ms + channel.lease_ms)
        return outbox.Started(row.organization_id, row.id, channel, row.attempts, due.is_resent, row.created_at_ms)

    outbox.start = start  # type: ignore[assignment]


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    main()
