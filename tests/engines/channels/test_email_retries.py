"""An email that cannot be stored yet is delivered again; its files are counted once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import Connection

from harness.installation import SECRET_KEY, Installation
from harness.reply_desk import CUSTOMER, DOMAIN, KEYS, Replies
from harness.shop import Shop
from harness.world import World
from shopbell.attachments.open_store import open_store
from shopbell.channels.email import inbound, store
from shopbell.channels.email.inbound import EmailReceiver
from shopbell.db.connect import open_database
from shopbell.email.envelope import Accepted, Envelope, NotNow, Verdict
from shopbell.email.parse import IncomingEmail, parse
from shopbell.errors import StorageError
from shopbell.realtime.hub import PubSub
from shopbell.settings.settings import Settings

FILE_BYTES = 1_000
QUOTA_BYTES = 3_000
TRIES = 5


class Desk(Replies):
    """Carol's conversation, and an email from Carol with a file."""

    def __init__(self, installation: Installation, thread_id: str, owner: str, folder: Path) -> None:
        super().__init__(installation.database, int(owner), int(thread_id))
        self._settings = Settings(
            database_url=installation.database.url,
            secret_key=SECRET_KEY,  # type: ignore[arg-type]
            mail_reply_domain=DOMAIN,
            attachments_url=f"file://{folder}",
            attachment_quota_per_session_bytes=QUOTA_BYTES,
        )
        message = EmailMessage()
        message["From"], message["To"], message["Message-ID"] = CUSTOMER, self.address, "<1@example.com>"
        message.set_content("See the list.")
        message.add_attachment("x" * (FILE_BYTES - 1), filename="list.txt")
        raw = message.as_bytes()
        self.envelope = Envelope(CUSTOMER, self.address, raw)
        self.email: IncomingEmail = parse(raw, authserv_id=None, envelope_sender=CUSTOMER)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[EmailReceiver]:
        """What stores emails."""
        database, blobs = open_database(self._settings), open_store(self._settings)
        yield EmailReceiver(self._settings, database, KEYS, PubSub(), blobs)
        await database.close()
        assert blobs is not None
        blobs.close()

    async def receive(self, times: int = 1) -> list[Verdict]:
        """Deliver the email so many times."""
        async with self.receiver() as receiver:
            return [await receiver.receive(self.envelope, self.email) for _ in range(times)]

    @property
    def counted_bytes(self) -> set[int]:
        """What counts against each limit."""
        return {row["used_bytes"] for row in self.database.rows("SELECT used_bytes FROM upload_usage")}

    def visible_files(self) -> int:
        """How many files are kept."""
        found: int = self.database.value("SELECT count(*) FROM attachments WHERE absent_since_ms IS NULL")
        return found

    def stored_files(self) -> int:
        """How many of Carol's messages have a file."""
        found: int = self.database.value("SELECT count(*) FROM messages WHERE attachment_id IS NOT NULL")
        return found


@pytest.fixture
def desk(installation: Installation, people: World, tmp_path: Path) -> Desk:
    """A conversation that waits for Carol's reply."""
    with installation.serving(run_worker=False) as running:
        thread_id = Shop(running, people).send(user={"email": CUSTOMER})
    return Desk(installation, thread_id, people.acme, tmp_path / "files")


def arrives_with_its_file(desk: Desk) -> None:
    """Deliver the email once more, which stores it and its file."""
    assert asyncio.run(desk.receive()) == [Accepted()]
    assert desk.texts() == ["See the list."]
    assert (desk.stored_files(), desk.visible_files(), desk.counted_bytes) == (1, 1, {FILE_BYTES})


def test_an_email_that_waits_for_room_stores_no_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "EMAILS_PER_HOUR", 0)
    assert asyncio.run(desk.receive(TRIES)) == [NotNow()] * TRIES
    assert desk.database.value("SELECT count(*) FROM attachments") == 0
    monkeypatch.undo()
    arrives_with_its_file(desk)


def test_an_email_that_finds_no_room_at_last_gives_its_files_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_room(_tx: Connection, *_: object, now_ms: int) -> bool:
        return True

    monkeypatch.setattr(store, "EMAILS_PER_HOUR", 0)
    monkeypatch.setattr(inbound, "has_room", finds_room)
    assert asyncio.run(desk.receive(TRIES)) == [NotNow()] * TRIES
    assert (desk.visible_files(), desk.counted_bytes) == (0, {0})
    monkeypatch.undo()
    arrives_with_its_file(desk)


def test_an_email_that_the_database_refuses_gives_its_files_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_tx: Connection, *_: object, now_ms: int) -> bool:
        raise StorageError("the disk is full")

    async def fail() -> None:
        async with desk.receiver() as receiver:
            for _ in range(TRIES):
                with pytest.raises(StorageError):
                    await receiver.receive(desk.envelope, desk.email)

    monkeypatch.setattr(inbound, "store_email", refuse)
    asyncio.run(fail())
    assert (desk.visible_files(), desk.counted_bytes) == (0, {0})
    monkeypatch.undo()
    arrives_with_its_file(desk)
