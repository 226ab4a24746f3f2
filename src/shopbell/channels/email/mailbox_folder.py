"""Take the emails out of the mailbox's folder."""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog

from shopbell.channels.email.imap import CommandRefused, Head, ImapConnection
from shopbell.channels.email.intake import EmailIntake
from shopbell.channels.email.mailbox_metrics import EMAILS
from shopbell.email.envelope import Accepted, Broken, NotNow, Verdict
from shopbell.settings.settings import Settings

LATER_S = 60.0
"""Seconds until an email is tried again that could not be stored."""
TRIES_MAX = 3
"""Connections that may break while one email is read."""
RECIPIENTS_MAX = 50
_BATCH = 50

# It only finds candidates: ``accepts`` checks their signatures.
_ADDRESS = re.compile(r"(?<![\w.+-])(?:reply|bounce)\+[a-z2-7]{10,58}@[a-z0-9.-]{1,255}", re.ASCII | re.IGNORECASE)
_RETURN_PATH = re.compile(r"^Return-Path:\s*<?([^<>\s]*)>?\s*$", re.IGNORECASE | re.MULTILINE)

log = structlog.get_logger()


class FolderReader:
    """Decides about each email in a folder: it is stored and moved, or it stays.

    Args:
        settings: those of this process.
        imap: a connection on which the folder is open.
        accepts: whether an address belongs to this installation and its conversation exists.
        intake: stores the emails.
        position: the UID up to which all emails are decided.
        tries: counts how often each email was begun; must outlive the connection.
    """

    def __init__(
        self,
        settings: Settings,
        imap: ImapConnection,
        accepts: Callable[[str], Awaitable[bool]],
        intake: EmailIntake,
        *,
        position: int,
        tries: Counter[int],
    ) -> None:
        self._settings = settings
        self._imap = imap
        self._accepts = accepts
        self._intake = intake
        self._tries = tries
        self._position = position
        self._decided: set[int] = set()
        self._later: dict[int, float] = {}

    @property
    def position(self) -> int:
        """The UID up to which all emails are decided."""
        return self._position

    @property
    def wait_s(self) -> float | None:
        """Seconds until an email must be tried again; None if there is none."""
        return max(0, min(self._later.values()) - time.monotonic()) if self._later else None

    async def read(self, keep_on: Callable[[], Awaitable[bool]]) -> None:
        """Read what is new.

        Args:
            keep_on: called before each email, and after each batch; returns whether to read more.

        Raises:
            ImapFailure: the connection broke.
            StorageError: the database failed.
            TimeoutError: the server does not respond.
        """
        found = await self._imap.search(self._position)
        self._later = {uid: due_s for uid, due_s in self._later.items() if uid in found}  # others were deleted
        now_s = time.monotonic()
        new = [uid for uid in found if uid not in self._decided and self._later.get(uid, 0) <= now_s]
        for begin in range(0, len(new), _BATCH):
            batch = new[begin : begin + _BATCH]
            heads = await self._heads(batch)
            for head in heads:
                if not await keep_on():
                    return
                await self._take(head)
            # Emails without a head were deleted since the search, or are tried later.
            self._decided.update(set(batch) - {head.uid for head in heads} - set(self._later))
            self._move_position(batch[-1])
            await keep_on()

    async def _heads(self, uids: Sequence[int]) -> list[Head]:
        """Read the heads of emails. Those that the server refuses must not hold up the others: they are tried later."""
        try:
            return await self._imap.heads(uids)
        except CommandRefused:
            if len(uids) > 1:
                return [head for uid in uids for head in await self._heads([uid])]
        log.warning("the server refuses to read an email in the mailbox", retry_after_s=LATER_S)
        EMAILS.labels("later").inc()
        self._later[uids[0]] = time.monotonic() + LATER_S
        return []

    def _move_position(self, read_until: int) -> None:
        self._position = min([max([read_until, *self._decided]), *(uid - 1 for uid in self._later)])
        self._decided = {uid for uid in self._decided if uid > self._position}

    async def _take(self, head: Head) -> None:
        result = await self._store(head)
        EMAILS.labels(result).inc()
        self._tries.pop(head.uid, None)
        if result == "later":
            self._later[head.uid] = time.monotonic() + LATER_S
            return
        self._later.pop(head.uid, None)
        self._decided.add(head.uid)
        if result == "foreign":
            return
        if result != "kept":
            log.warning("an email in the mailbox cannot be stored", reason=result)
        settings = self._settings
        folder = settings.imap_done_folder if result == "kept" else settings.imap_failed_folder
        try:
            await self._imap.move(head.uid, folder, seen=result == "kept")
        except CommandRefused:
            log.warning("an email cannot be moved to another folder; it stays where it is", stored=result == "kept")

    async def _store(self, head: Head) -> str:
        """Store an email if it is for this installation; returns one of ``mailbox_metrics.RESULTS``."""
        fields = head.fields.decode("utf-8", "replace")
        candidates = _candidates(fields)
        if not candidates:
            return "foreign"
        recipients = [each for each in candidates if await self._accepts(each)]
        if not recipients:
            return "refused"
        limit_bytes = self._settings.mail_limit_bytes
        if head.size_bytes > limit_bytes:
            return "too_large"
        self._tries[head.uid] += 1
        if self._tries[head.uid] > TRIES_MAX:
            return "broken"
        try:
            raw = await self._imap.email(head.uid, limit_bytes=limit_bytes)
        except CommandRefused:
            return "broken"
        if raw is None:
            return "foreign"  # deleted in the meantime
        if len(raw) > limit_bytes:
            return "too_large"
        sender = _RETURN_PATH.search(fields)
        return _result(await self._intake.take(sender[1] if sender else None, recipients, raw))


def _candidates(fields: str) -> list[str]:
    found = {each.partition("@")[0].lower(): each for each in _ADDRESS.findall(fields)}
    return list(found.values())[:RECIPIENTS_MAX]


def _result(verdicts: Sequence[Verdict]) -> str:
    if any(isinstance(each, Broken) for each in verdicts):
        return "broken"
    if any(isinstance(each, NotNow) for each in verdicts):
        return "later"
    return "kept" if any(isinstance(each, Accepted) for each in verdicts) else "refused"
