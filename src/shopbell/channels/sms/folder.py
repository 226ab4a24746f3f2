"""SMS for development: write each SMS to a folder."""

import asyncio
from contextlib import suppress
from pathlib import Path

import orjson

from shopbell.notifications.outcomes import Outcome, Sent
from shopbell.runtime import clock
from shopbell.security.files import write_private
from shopbell.sms.outgoing import OutgoingText, Senders, as_json

SUFFIX = ".txt.json"
KEPT = 500


class TextFolder:
    """Writes each SMS into a private file ``<time>-<reference>.txt.json``.

    Args:
        folder: created if absent. It keeps the newest 500 files.
        senders: the default senders.
    """

    def __init__(self, folder: Path, senders: Senders) -> None:
        self._folder = folder
        self._senders = senders

    async def send(self, item: OutgoingText) -> Outcome:
        """Write an SMS.

        Raises:
            OSError: the disk is full, or the folder has another owner.
        """
        at_ms = clock.now_ms()
        content = {**as_json(item, self._senders), "at": at_ms}
        name = f"{at_ms}-{item.reference}{SUFFIX}"
        await asyncio.to_thread(self._write, name, orjson.dumps(content, option=orjson.OPT_INDENT_2))
        return Sent(name.removesuffix(SUFFIX))

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _write(self, name: str, content: bytes) -> None:
        write_private(self._folder / name, content)
        # Times of this century have the same number of digits, so the names sort by time.
        for old in sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))[:-KEPT]:
            with suppress(FileNotFoundError):
                (self._folder / old).unlink()
