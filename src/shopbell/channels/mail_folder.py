"""Mail while developing: a file for each in a folder, which ``/dev/mail`` shows. Nothing leaves the machine."""

import asyncio
import itertools
import time
from pathlib import Path

from shopbell.channels.channel import Outcome, Refused, Sent, TryLater
from shopbell.mail.outgoing import OutgoingMail
from shopbell.private_files import write_private

FILES_MAX = 500
SUFFIX = ".eml"

_numbers = itertools.count()


class MailFolderChannel:
    """Writes mails as files; the oldest go when there are too many.

    Args:
        folder: where they lie; it is made when absent. Only its owner may read them: people's words are in them.
        files_max: most mails that are kept.
    """

    def __init__(self, folder: Path, *, files_max: int = FILES_MAX) -> None:
        self._folder = folder
        self._files_max = files_max

    async def send(self, item: OutgoingMail) -> Outcome:
        """Write a mail down, whole or not at all.

        Returns:
            TryLater when the disk does not take it.
        """
        try:
            content = item.as_bytes()
        except ValueError:
            return Refused("mail_is_not_valid")
        envelope = f"Return-Path: <{item.sender}>\r\nX-Envelope-To: <{item.recipient}>\r\n".encode()
        # Names sort by time; the number tells two of the same instant apart.
        name = f"{time.time_ns() // 1_000_000}-{next(_numbers) % 1_000_000:06d}{SUFFIX}"
        try:
            await asyncio.to_thread(self._write, name, envelope + content)
        except OSError:
            return TryLater("folder_cannot_be_written")
        return Sent()

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _write(self, name: str, content: bytes) -> None:
        write_private(self._folder / name, content)
        for old in sorted(self._folder.glob(f"[!.]*{SUFFIX}"))[: -self._files_max]:
            old.unlink(missing_ok=True)
