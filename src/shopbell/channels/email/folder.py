"""Email for development: write each email to a folder, which ``/dev/mail`` shows."""

import asyncio
import itertools
from pathlib import Path

from shopbell.email.outgoing import OutgoingEmail
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater
from shopbell.runtime import clock
from shopbell.security.files import write_private

FILES_MAX = 500
SUFFIX = ".eml"

_numbers = itertools.count()


class EmailFolder:
    """Writes emails as files; the oldest are deleted if there are too many.

    Args:
        folder: created if absent. Only its owner may read the files, because they are private.
        files_max: most files that are kept.
    """

    def __init__(self, folder: Path, *, files_max: int = FILES_MAX) -> None:
        self._folder = folder
        self._files_max = files_max

    async def send(self, item: OutgoingEmail) -> Outcome:
        """Write an email, completely or not at all.

        Returns:
            TryLater if the disk fails.
        """
        try:
            content = item.as_bytes()
        except ValueError:
            return Refused("mail_is_not_valid")
        envelope = f"Return-Path: <{item.sender}>\r\nX-Envelope-To: <{item.recipient}>\r\n".encode()
        # Names sort by time; the number distinguishes two files of the same millisecond.
        name = f"{clock.now_ms()}-{next(_numbers) % 1_000_000:06d}{SUFFIX}"
        try:
            await asyncio.to_thread(self._write, name, envelope + content)
        except OSError:
            return TryLater("folder_cannot_be_written")
        return Sent()

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _write(self, name: str, content: bytes) -> None:
        write_private(self._folder / name, content)
        for old in sorted(self._folder.glob(f"[!.]*{SUFFIX}"))[: -self._files_max]:
            old.unlink(missing_ok=True)
