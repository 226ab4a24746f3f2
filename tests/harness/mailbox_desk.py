"""Carol's conversation with Acme, whose replies arrive in a mailbox."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

from harness.imap import PASSWORD, USER, ImapServer
from harness.installation import SECRET_KEY, Installation
from harness.reply_desk import DOMAIN, KEYS, Replies
from harness.waiting import TIMEOUT_S
from shopbell.channels.email.inbound import EmailReceiver
from shopbell.channels.email.mailbox import MailboxReader
from shopbell.db.connect import open_database
from shopbell.realtime.hub import PubSub
from shopbell.settings.settings import Settings

DONE, FAILED = "Shopbell", "Shopbell failed"


class MailboxDesk(Replies):
    """Carol's conversation, and the process that reads her replies from the mailbox."""

    def __init__(self, installation: Installation, thread_id: str, owner: str, server: ImapServer) -> None:
        super().__init__(installation.database, int(owner), int(thread_id))
        self.server = server
        self.settings = {
            "database_url": installation.database.url,
            "secret_key": SECRET_KEY,
            "mail_reply_domain": DOMAIN,
            "outbound_allow": f"localhost:{server.port}",
            "imap_url": f"imaps://{quote(USER)}:{quote(PASSWORD)}@localhost:{server.port}/INBOX",
        }

    @asynccontextmanager
    async def reading(self, **settings: object) -> AsyncIterator[MailboxReader]:
        """A process that reads the mailbox while the block runs."""
        given = Settings(**self.settings | settings)  # type: ignore[arg-type]
        assert given.mailbox is not None
        database = open_database(given)
        receiver = EmailReceiver(given, database, KEYS, PubSub(), None)
        reader = MailboxReader(given, given.mailbox, database, KEYS, receiver)
        reader.start()
        try:
            yield reader
        finally:
            await reader.close()
            await database.close()

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(TIMEOUT_S):
            while not is_so():  # noqa: ASYNC110 - what is waited for is inside what is tested
                await asyncio.sleep(0.01)

    async def until_read(self, *, done: int = 0, failed: int = 0) -> None:
        """Wait until so many emails were moved."""
        await self.until(lambda: (len(self.server.raws(DONE)), len(self.server.raws(FAILED))) == (done, failed))
