"""Read inbound email from a mailbox by IMAP.

An email is stored first and moved to another folder then. After a crash in between, it is read again, and its
``Message-ID`` shows that it is stored. So each email is stored once.
"""

import asyncio
import secrets
import time
from collections import Counter
from contextlib import suppress

import structlog

from shopbell.channels.email.access_tokens import AccessTokens
from shopbell.channels.email.imap import ImapConnection
from shopbell.channels.email.inbound import EmailReceiver
from shopbell.channels.email.intake import EmailIntake
from shopbell.channels.email.mailbox_account import open_mailbox, reason_of
from shopbell.channels.email.mailbox_folder import FolderReader
from shopbell.channels.email.mailbox_metrics import FAILURES
from shopbell.channels.email.mailbox_state import LEASE, find_position, store_position
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.runtime.background_worker import BackgroundWorker
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys
from shopbell.settings.mailbox import MailboxAddress
from shopbell.settings.settings import Settings

LEASE_EVERY_S = 10.0
IDLE_MAX_S = 300.0
"""How long IDLE lasts. Servers end it after 30 minutes, and networks forget silent connections earlier."""
POLL_EVERY_S = 60.0
"""How often a server without IDLE is asked for new email."""
LOOK_EVERY_S = 0.25
"""The shortest time between two looks: some servers tell of news that are none."""
PAUSES_S = (5.0, 15.0, 60.0, 300.0)
"""Seconds before each new connection after a failure; the last value repeats."""

log = structlog.get_logger()


class MailboxReader(BackgroundWorker):
    """Reads the mailbox while no other process of the installation does.

    Args:
        settings: those of this process.
        mailbox: the mailbox of the settings.
        database: has the position, and which process reads.
        keys: the installation's keys.
        receiver: stores the emails.
    """

    def __init__(
        self, settings: Settings, mailbox: MailboxAddress, database: Database, keys: Keys, receiver: EmailReceiver
    ) -> None:
        super().__init__("read the mailbox", settings.shutdown_timeout_s)
        self._settings = settings
        self._mailbox = mailbox
        self._database = database
        self._receiver = receiver
        self._intake = EmailIntake(receiver.receive, authserv_id=settings.mail_authserv_id)
        self._tokens = AccessTokens(settings, database, keys) if mailbox.password is None else None
        self._owner = secrets.token_hex(8)
        self._lease_until_s = 0.0
        self._failures = 0
        self._tries: Counter[int] = Counter()
        self._deadline: asyncio.Timeout | None = None

    async def _run(self) -> None:
        await self._repeat(self._name, self._turn, self._pause)

    def _wake(self) -> None:
        if self._deadline is not None and self._deadline.when() is None:  # another call must not extend it
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._shutdown_timeout_s)

    async def _turn(self) -> float:
        """Read until the connection ends; returns the seconds until the next attempt."""
        self._lease_until_s = 0
        if not await self._has_lease():
            return LEASE_EVERY_S
        try:
            async with asyncio.timeout(None) as self._deadline:
                await self._read_until_end()
        except StorageError:
            raise
        except Exception as error:
            if self._ending.is_set():
                return 0
            reason = reason_of(error)
            FAILURES.labels(reason).inc()
            self._failures += 1
            if reason == "bug":  # handled here because providers lock accounts that log in without a pause
                log.error("bug", job=self._name, exc_info=error)
            else:
                log.warning("the mailbox cannot be read", reason=reason)
            return PAUSES_S[min(self._failures, len(PAUSES_S)) - 1]
        finally:
            self._deadline = None
            with suppress(StorageError):
                await self._database.write(LEASE.release, self._owner)
        return LEASE_EVERY_S  # another process has the lease

    async def _read_until_end(self) -> None:
        """Read until this process ends or another one has the lease."""
        imap = await open_mailbox(self._settings, self._mailbox, self._tokens)
        try:
            settings = self._settings
            await imap.create_missing(settings.imap_done_folder, settings.imap_failed_folder)
            validity = await imap.select(self._mailbox.folder)
            position = await self._database.read(find_position, self._mailbox, validity)
            folder = FolderReader(
                settings, imap, self._receiver.accepts, self._intake, position=position, tries=self._tries
            )
            log.info("reading the mailbox")
            stored = position

            async def keep_on() -> bool:
                nonlocal stored
                if folder.position != stored:
                    await self._database.write(store_position, self._mailbox, validity, folder.position)
                    stored = folder.position
                return not self._ending.is_set() and await self._has_lease()

            while await keep_on():
                await folder.read(keep_on)
                self._failures = 0
                await self._wait_for_news(imap, folder)
        finally:
            await imap.close()

    async def _has_lease(self) -> bool:
        """Extend the lease now and then; returns whether this process may read."""
        if time.monotonic() < self._lease_until_s:
            return True
        if not await self._database.write(LEASE.take, self._owner, now_ms=now_ms()):
            return False
        self._lease_until_s = time.monotonic() + LEASE_EVERY_S
        return True

    async def _wait_for_news(self, imap: ImapConnection, folder: FolderReader) -> None:
        """Wait until there may be something to read, or this process must end."""
        limit_s = IDLE_MAX_S if imap.has_idle else POLL_EVERY_S
        until_s = time.monotonic() + min(limit_s, limit_s if folder.wait_s is None else folder.wait_s)
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait([ending], timeout=LOOK_EVERY_S)
            while not imap.has_news and not self._ending.is_set() and await self._has_lease():
                wait_s = min(LEASE_EVERY_S, until_s - time.monotonic())
                if wait_s <= 0:
                    break
                if imap.has_idle:
                    await imap.idle(ending, wait_s)
                else:
                    await asyncio.wait([ending], timeout=wait_s)
        finally:
            ending.cancel()
        await imap.end_idle()
