"""Inbound email from a mailbox is stored once, and then moved to another folder."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson
import pytest
from structlog.testing import capture_logs

from harness.imap import PASSWORD, USER, ImapServer, trusted_server
from harness.installation import Installation
from harness.mailbox_desk import DONE, FAILED, MailboxDesk
from harness.ports import free_port
from harness.reply_desk import CUSTOMER
from harness.shop import Shop
from harness.waiting import TIMEOUT_S
from harness.world import World
from shopbell.channels.email import mailbox, mailbox_folder, store
from shopbell.channels.email.imap import ImapConnection
from shopbell.channels.email.inbound import EmailReceiver
from shopbell.channels.email.mailbox import MailboxReader
from shopbell.channels.email.mailbox_metrics import EMAILS, FAILURES
from shopbell.db.connect import open_database
from shopbell.operations.doctor.findings import Level
from shopbell.operations.doctor.inbound_email import check_mailbox
from shopbell.settings.settings import Settings


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImapServer:
    """The mailbox's server; its certificate is trusted."""
    for name in ("LEASE_EVERY_S", "IDLE_MAX_S", "POLL_EVERY_S"):
        monkeypatch.setattr(mailbox, name, 0.2)
    monkeypatch.setattr(mailbox, "PAUSES_S", (0.01,))
    monkeypatch.setattr(mailbox_folder, "LATER_S", 0.01)
    return trusted_server(tmp_path, monkeypatch, free_port())


@pytest.fixture
def desk(installation: Installation, people: World, server: ImapServer) -> Iterator[MailboxDesk]:
    """A conversation that waits for Carol's reply."""
    with installation.serving(run_worker=False) as running:
        thread_id = Shop(running, people).send(user={"email": CUSTOMER})
        yield MailboxDesk(installation, thread_id, people.acme, server)


def counted(result: str) -> float:
    """How many emails had a result."""
    return EMAILS.labels(result)._value.get()


def test_a_reply_is_stored_and_moved(desk: MailboxDesk) -> None:
    async def main() -> None:
        async with desk.server.listening(), desk.reading():
            for number, text in enumerate(("Yes, on Friday.", "Or on Monday."), 1):
                desk.server.deliver(desk.reply(text))
                await desk.until_read(done=number)

    asyncio.run(main())
    assert desk.texts() == ["Yes, on Friday.", "Or on Monday."]
    assert all("\\Seen" in each.flags for each in desk.server.folders[DONE])


def test_a_reply_to_the_same_address_at_two_domains_is_stored_once(desk: MailboxDesk) -> None:
    """Relays change domains, and people write addresses by hand; the signature in the local part counts."""
    foreign = f"{desk.address.partition('@')[0]}@globex.example"

    async def main() -> None:
        async with desk.server.listening(), desk.reading():
            desk.server.deliver(desk.reply("Yes.", to=f"{desk.address}, {foreign}"))
            desk.server.deliver(desk.reply("No.", to=f"{foreign}, {desk.address}"))
            await desk.until_read(done=2)

    asyncio.run(main())
    assert sorted(desk.texts()) == ["No.", "Yes."]


def test_a_server_without_idle_is_asked_now_and_then(desk: MailboxDesk) -> None:
    desk.server.capabilities = ("AUTH=PLAIN",)

    async def main() -> None:
        async with desk.server.listening(), desk.reading():
            await desk.until(lambda: any("SEARCH" in each for each in desk.server.commands))
            desk.server.deliver(desk.reply("Yes, on Friday."))
            await desk.until_read(done=1)

    asyncio.run(main())
    assert desk.texts() == ["Yes, on Friday."]
    assert "IDLE" not in desk.server.commands


def test_other_emails_stay_and_are_looked_at_once(desk: MailboxDesk) -> None:
    async def main() -> None:
        async with desk.server.listening():
            uid = desk.server.deliver(desk.reply("For a colleague.", to="owner@shop.example.com"))
            for number in (1, 2):
                desk.server.deliver(desk.reply("Yes."))
                async with desk.reading():
                    await desk.until_read(done=number)
            looks = [each for each in desk.server.commands if each.startswith("UID FETCH") and f" {uid}" in each[:14]]
            assert len(looks) == 1

    asyncio.run(main())
    (left,) = desk.server.folders["INBOX"]
    assert b"colleague" in left.raw
    assert left.flags == set()


def test_an_email_that_is_read_again_is_stored_once(desk: MailboxDesk) -> None:
    """As after a crash between storing and moving, or if UIDVALIDITY changes."""
    desk.server.refuses = {"MOVE"}

    async def main() -> None:
        async with desk.server.listening():
            desk.server.deliver(desk.reply("Yes, on Friday."))
            async with desk.reading():
                await desk.until(desk.texts)
            desk.server.refuses = set()
            desk.server.validity += 1
            async with desk.reading():
                await desk.until_read(done=1)

    asyncio.run(main())
    assert desk.texts() == ["Yes, on Friday."]


def test_emails_that_cannot_be_stored_are_set_aside_and_the_next_one_is_read(desk: MailboxDesk) -> None:
    async def main() -> None:
        async with desk.server.listening():
            desk.server.deliver(desk.reply("x" * 70_000))
            desk.server.deliver(desk.reply("Forged.", to="reply+aaaaaaaaaaaaaaaaaaaaaaaa@shop.example.com"))
            desk.server.deliver(desk.reply("Yes, on Friday."))
            async with desk.reading(mail_limit_bytes=65_536):
                await desk.until_read(done=1, failed=2)

    before = counted("too_large"), counted("refused")
    asyncio.run(main())
    assert (counted("too_large"), counted("refused")) == (before[0] + 1, before[1] + 1)
    assert desk.texts() == ["Yes, on Friday."]
    assert not any("\\Seen" in each.flags for each in desk.server.folders[FAILED])


def test_an_email_that_breaks_the_connection_each_time_is_set_aside(desk: MailboxDesk) -> None:
    async def main() -> None:
        broken = desk.server.deliver(desk.reply("Broken."))
        desk.server.deliver(desk.reply("Yes, on Friday."))
        desk.server.breaks_in = {broken}
        async with desk.server.listening(), desk.reading():
            await desk.until_read(done=1, failed=1)

    asyncio.run(main())
    assert desk.texts() == ["Yes, on Friday."]


def test_a_bug_sets_one_email_aside(desk: MailboxDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = EmailReceiver.receive

    async def receive(receiver: EmailReceiver, envelope: Any, email: Any) -> Any:
        assert "bug" not in email.text
        return await real(receiver, envelope, email)

    monkeypatch.setattr(EmailReceiver, "receive", receive)

    async def main() -> None:
        async with desk.server.listening(), desk.reading():
            desk.server.deliver(desk.reply("A bug."))
            desk.server.deliver(desk.reply("Yes, on Friday."))
            await desk.until_read(done=1, failed=1)

    asyncio.run(main())
    assert desk.texts() == ["Yes, on Friday."]


def test_an_email_waits_in_its_folder_until_there_is_room(desk: MailboxDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "EMAILS_PER_HOUR", 1)

    async def main() -> None:
        async with desk.server.listening():
            for text in ("One.", "Two."):
                desk.server.deliver(desk.reply(text))
            later = counted("later")
            async with desk.reading():
                await desk.until(lambda: counted("later") > later + 1)
            assert len(desk.server.raws()) == 1
            monkeypatch.setattr(store, "EMAILS_PER_HOUR", 9)
            async with desk.reading():
                await desk.until_read(done=2)

    asyncio.run(main())
    assert desk.texts() == ["One.", "Two."]


def test_one_process_reads_and_another_takes_over(desk: MailboxDesk) -> None:
    async def main() -> None:
        async with desk.server.listening(), desk.reading() as first:
            desk.server.deliver(desk.reply("One."))
            await desk.until_read(done=1)
            async with desk.reading():
                desk.server.deliver(desk.reply("Two."))
                await desk.until_read(done=2)
                assert desk.server.logins == 1
                await first.close()
                desk.server.deliver(desk.reply("Three."))
                await desk.until_read(done=3)

    asyncio.run(main())
    assert desk.server.logins == 2
    assert desk.texts() == ["One.", "Two.", "Three."]


def test_failures_are_counted_and_logged_without_addresses(desk: MailboxDesk) -> None:
    before = FAILURES.labels("login_failed")._value.get()
    url = f"imaps://{quote(USER)}:wrong-canary@localhost:{desk.server.port}"

    async def main() -> None:
        async with desk.server.listening(), desk.reading(imap_url=url):
            await desk.until(lambda: FAILURES.labels("login_failed")._value.get() > before)

    with capture_logs() as lines:
        asyncio.run(main())
    assert {"event": "the mailbox cannot be read", "log_level": "warning", "reason": "login_failed"} in lines
    for private in (USER, "canary", "localhost"):
        assert private not in str(lines)


def test_after_a_bug_it_logs_in_again_after_a_pause_only(desk: MailboxDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "PAUSES_S", (300.0,))
    monkeypatch.setattr(ImapConnection, "search", lambda *_: 1 / 0)
    monkeypatch.setattr(MailboxReader, "start", lambda _: None)

    async def main() -> None:
        async with desk.server.listening(), desk.reading() as reader:
            assert await reader._turn() == 300

    asyncio.run(main())
    assert desk.server.logins == 1


class TokenEndpoint:
    """The provider's token endpoint, which replaces the refresh token each time."""

    def __init__(self, server: ImapServer) -> None:
        self.port = free_port()
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self._server = server

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen while the block runs; the address."""
        async with await asyncio.start_server(self._respond, "127.0.0.1", self.port):
            yield f"http://127.0.0.1:{self.port}/token"

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.asked.append(dict(parse_qsl((await reader.readexactly(length)).decode())))
        number = len(self.asked)
        self._server.tokens = (f"access-{number}",)
        granted = {"access_token": f"access-{number}", "expires_in": 3_600, "refresh_token": f"refresh-{number}"}
        body = orjson.dumps(granted if self.status == 200 else {"error": "invalid_grant"})
        writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()


def test_it_logs_in_with_the_newest_refresh_token(desk: MailboxDesk) -> None:
    desk.server.capabilities = ("AUTH=XOAUTH2", "IDLE", "MOVE")
    tokens = TokenEndpoint(desk.server)

    async def main() -> None:
        async with desk.server.listening(), tokens.listening() as url:
            options = {
                "imap_url": f"imaps://{quote(USER)}@localhost:{desk.server.port}",
                "imap_oauth_token_url": url,
                "imap_oauth_client_id": "shopbell",
                "imap_oauth_client_secret": "hush",
                "imap_oauth_refresh_token": "refresh-0",
                "outbound_allow": f"localhost:{desk.server.port},127.0.0.1:{tokens.port}",
            }
            for number in (1, 2):
                desk.server.deliver(desk.reply("Yes."))
                async with desk.reading(**options):
                    await desk.until_read(done=number)
            tokens.status = 400
            refused = FAILURES.labels("token_refused")._value.get()
            async with desk.reading(**options | {"imap_oauth_refresh_token": "another"}):
                await desk.until(lambda: FAILURES.labels("token_refused")._value.get() > refused)

    asyncio.run(main())
    first, second, third = tokens.asked[:3]
    assert first == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-0",
        "client_id": "shopbell",
        "client_secret": "hush",
    }
    assert second["refresh_token"] == "refresh-1"
    assert third["refresh_token"] == "another"  # a new one in the settings counts at once
    assert not any("refresh-" in row["value"] for row in desk.database.rows("SELECT value FROM installation"))


def test_a_process_that_ends_leaves_the_rest_for_the_next_one(desk: MailboxDesk) -> None:
    async def main() -> None:
        async with desk.server.listening():
            for number in range(60):
                desk.server.deliver(desk.reply(f"Text {number}."))
            async with desk.reading():
                await desk.until(lambda: desk.server.raws(DONE))
            async with desk.reading():
                await desk.until_read(done=60)

    asyncio.run(main())
    assert sorted(desk.texts()) == sorted(f"Text {number}." for number in range(60))


def test_a_process_that_must_end_twice_ends_at_its_first_deadline(
    desk: MailboxDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, closing, may_close = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def read_until_end(_: MailboxReader) -> None:
        reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            closing.set()
            await may_close.wait()

    monkeypatch.setattr(MailboxReader, "_read_until_end", read_until_end)

    async def main() -> None:
        async with asyncio.timeout(TIMEOUT_S), desk.reading(shutdown_timeout_s=1) as reader:
            await reading.wait()
            reader.end()
            assert reader._deadline is not None
            deadline_s = reader._deadline.when()
            reader.end()
            assert reader._deadline.when() == deadline_s
            await closing.wait()
            reader.end()
            may_close.set()

    asyncio.run(main())


def test_the_doctor_logs_in_and_says_what_to_do(desk: MailboxDesk) -> None:
    async def findings() -> list[tuple[Level, str, str]]:
        found = []
        url = f"imaps://{quote(USER)}:{{}}@localhost:{desk.server.port}/{{}}"
        for more in (
            {},
            {"imap_url": url.format("wrong", "INBOX")},
            {"outbound_allow": ""},
            {"imap_url": url.format(quote(PASSWORD), "Missing")},
        ):
            settings = Settings(**desk.settings | more)  # type: ignore[arg-type]
            assert settings.mailbox is not None
            database = open_database(settings)
            finding = await check_mailbox(settings, settings.mailbox, database)
            await database.close()
            found.append((finding.level, finding.detail, finding.remedy))
        return found

    async def main() -> list[tuple[Level, str, str]]:
        async with desk.server.listening():
            return await findings()

    good, wrong_password, denied, wrong_folder = asyncio.run(main())
    assert good == (Level.OK, "localhost accepts the login", "")
    assert (wrong_password[0], wrong_password[1]) == (Level.ERROR, "replies by email are not read: login_failed")
    assert "SHOPBELL_OUTBOUND_ALLOW" in denied[2]
    assert "folder" in wrong_folder[2]
