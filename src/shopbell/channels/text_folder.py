"""Texts as files in a folder, to look at while developing: nothing leaves the machine."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import orjson

from shopbell.channels.channel import Outcome, Sent
from shopbell.private_files import write_private
from shopbell.texting.outgoing import OutgoingText, Senders, as_json

SUFFIX = ".txt.json"
KEPT = 500


class TextFolder:
    """Writes each text into a file ``<time>-<reference>.txt.json`` that only its owner may read.

    Args:
        folder: where; made when absent. It keeps the newest 500 texts.
        senders: whom texts are from unless they say so themselves.
    """

    def __init__(self, folder: Path, senders: Senders) -> None:
        self._folder = folder
        self._senders = senders

    async def send(self, item: OutgoingText) -> Outcome:
        """Write a text.

        Raises:
            OSError: the disk is full, or the folder is not ours.
        """
        at_ms = time.time_ns() // 1_000_000
        content = {**as_json(item, self._senders), "at": at_ms}
        name = f"{at_ms}-{item.reference}{SUFFIX}"
        await asyncio.to_thread(self._write, name, orjson.dumps(content, option=orjson.OPT_INDENT_2))
        return Sent(name.removesuffix(SUFFIX))

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _write(self, name: str, content: bytes) -> None:
        write_private(self._folder / name, content)
        # Times of this century have as many digits: by name is by time.
        for old in sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))[:-KEPT]:
            with suppress(FileNotFoundError):
                (self._folder / old).unlink()
