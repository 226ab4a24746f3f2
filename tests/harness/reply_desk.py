"""A conversation, and the replies that its customer sends by email."""

from harness.installation import SECRET_KEY, Database, Installation, Server
from harness.shop import Shop
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from harness.world import World
from shopbell.email.reply_addresses import Audience, EmailAddresses
from shopbell.security.keys import Keys

DOMAIN = "shop.example.com"
CUSTOMER = "carol@example.com"
KEYS = Keys((SECRET_KEY.encode(),))
ADDRESSES = EmailAddresses(KEYS, sender=f"hello@{DOMAIN}", reply_domain=DOMAIN)


class Replies:
    """Carol's replies to a conversation.

    Args:
        owner: the organization's id.
    """

    def __init__(self, database: Database, owner: int, thread_id: int) -> None:
        self.database = database
        self.thread_id = thread_id
        self.address = ADDRESSES.reply(owner, thread_id, Audience.CUSTOMER) or ""
        self._written = 0

    def reply(self, text: str, *, to: str | None = None, more: str = "") -> bytes:
        """An email from Carol, as it arrives in a mailbox."""
        self._written += 1
        fields = (
            f"Return-Path: <{CUSTOMER}>\r\nDelivered-To: reply@{DOMAIN}\r\nFrom: Carol <{CUSTOMER}>\r\n"
            f"To: {to or f'Shop <{self.address}>'}\r\nMessage-ID: <{self._written}@example.com>\r\n{more}"
        )
        return f"{fields}Subject: Re: Hello\r\n\r\n{text}\r\n".encode()

    def texts(self) -> list[str]:
        """What Carol has said, after her first message."""
        rows = self.database.rows(
            "SELECT body FROM messages WHERE thread_id = :id AND from_customer ORDER BY sequence", id=self.thread_id
        )
        return [row["body"] for row in rows[1:]]


class ReplyDesk(Replies):
    """A new conversation with Carol, and her replies to it."""

    def __init__(self, installation: Installation, server: Server, people: World) -> None:
        thread_id = Shop(server, people).send(user={"email": CUSTOMER})
        super().__init__(installation.database, int(people.acme), int(thread_id))

    def wait_for(self, *texts: str, log: Server | WorkerProcess) -> None:
        """Wait until Carol's replies are stored."""
        wait_until(lambda: len(self.texts()) >= len(texts), lambda: f"{self.texts()}\n{log.log}")
        assert self.texts() == list(texts)
