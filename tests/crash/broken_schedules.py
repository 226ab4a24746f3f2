"""``shopbell`` with one protection of scheduled messages removed, for controls.

python broken_schedules.py CHANGE worker
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from shopbell.cli import main
from shopbell.inbox import scheduled_sending
from shopbell.inbox.scheduled_messages import Changed
from shopbell.inbox.scheduled_sender import ScheduledSender

PROGRAM = Path(__file__)


def program(change: str) -> tuple[str, ...]:
    """What runs the command with this change."""
    return (str(PROGRAM), change)


def notes_afterwards() -> None:
    """Mark messages as sent in a transaction of its own."""
    store, send = scheduled_sending._store, ScheduledSender._send_batch

    async def send_batch(self: ScheduledSender) -> Sequence[Changed]:
        changed = await send(self)
        await asyncio.sleep(0.05)
        for each in changed:
            await self._database.write(store, each.message)
        return changed

    scheduled_sending._store = lambda tx, message: None
    ScheduledSender._send_batch = send_batch  # type: ignore[method-assign]


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    main()
