"""The channel for letters by pigeon.

Each letter is a file in the folder of its loft.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from shopbell.notifications.capabilities import Capabilities
from shopbell.notifications.channel import Channel, Rendered
from shopbell.notifications.content import Notification
from shopbell.notifications.outcomes import Outcome, Refused, Sent
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings


@dataclass(frozen=True)
class Letter:
    """A letter to a loft."""

    id: int
    loft: str
    text: str


class PigeonChannel(Channel):
    """Puts letters into folders."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        super().__init__(settings, keys)
        self._lofts = Path("lofts")

    @staticmethod
    def declare(settings: Settings) -> Sequence[Capabilities]:
        """Letters need no setting."""
        return (Capabilities("PIGEON", lease_ms=30_000),)

    def render(self, tx: Connection, notification: Notification) -> Rendered:
        """Write down the new messages."""
        text = "\n".join(line.text for line in notification.new)
        if notification.needs_link:
            text += f"\n{notification.make_link()}"
        return Rendered(Letter(notification.row.id, notification.address, text))

    async def send(self, item: Letter) -> Outcome:
        """Put a letter into the loft, if there is one."""
        loft = self._lofts / item.loft
        if not loft.is_dir():
            return Refused("loft_unknown")
        await asyncio.to_thread((loft / f"{item.id}.txt").write_text, item.text)
        return Sent(f"pigeon-{item.id}")

    async def close(self) -> None:
        """Pigeons need no connection."""
