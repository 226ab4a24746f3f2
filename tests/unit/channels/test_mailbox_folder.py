"""What becomes of the emails in a mailbox's folder, and how far the folder was read."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.imap import PASSWORD, USER, ImapServer, trusted_server
from shopbell.channels.email import mailbox_folder
from shopbell.channels.email.imap import ImapConnection
from shopbell.channels.email.intake import EmailIntake
from shopbell.channels.email.mailbox_folder import FolderReader
from shopbell.email.envelope import Accepted, Envelope, NotNow, NotWanted, Verdict
from shopbell.email.parse import IncomingEmail
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.connector import GuardedConnector, dial
from shopbell.safe_http.dns import SystemResolver
from shopbell.settings.settings import Settings

TOKEN = "aaaaaaaaaaaaaaaaaaaaaaaa"
OURS = f"reply+{TOKEN}@shop.example.com"
TIMEOUT_S = 60


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImapServer:
    """A server whose certificate is trusted."""
    return trusted_server(tmp_path, monkeypatch)


class Folder:
    """The inbox of the server, whose emails are stored as the test says."""

    def __init__(self, imap: ImapConnection) -> None:
        self.envelopes: list[Envelope] = []
        self.verdict: Callable[[Envelope], Verdict] = lambda _: Accepted()
        intake = EmailIntake(self._receive, authserv_id=None)
        self.reader = FolderReader(Settings(), imap, self._accepts, intake, position=0, tries=Counter())

    async def _accepts(self, address: str) -> bool:
        return TOKEN in address.lower()

    async def _receive(self, envelope: Envelope, _: IncomingEmail) -> Verdict:
        self.envelopes.append(envelope)
        return self.verdict(envelope)

    async def read(self) -> None:
        """Read what is new."""

        async def keep_on() -> bool:
            return True

        await self.reader.read(keep_on)


def run(server: ImapServer, use: Callable[[Folder], Awaitable[None]]) -> None:
    """Use the folder on a connection."""

    async def main() -> None:
        async with server.listening():
            allow = AllowList.parse(f"localhost:{server.port}")
            connector = GuardedConnector(allow, resolve=SystemResolver(), dial=dial, dns_timeout_s=TIMEOUT_S)
            imap = await ImapConnection.open(connector, "localhost", server.port, timeout_s=TIMEOUT_S)
            try:
                await imap.log_in(USER, PASSWORD)
                await imap.create_missing("Shopbell", "Shopbell failed")
                await imap.select("INBOX")
                await use(Folder(imap))
            finally:
                await imap.close()

    asyncio.run(main())


def email(*fields: str) -> bytes:
    """An email with these header fields."""
    return "\r\n".join((*fields, "", "Yes, on Friday.\r\n")).encode()


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        ([f"To: Shop <{OURS}>"], [OURS]),
        ([f"To: {OURS.upper()}"], [OURS.upper()]),
        (["To: x@example.com", f"Delivered-To: {OURS}"], [OURS]),
        ([f"Cc: a@example.com,\r\n {OURS}", f"To: {OURS}"], [OURS]),
        ([f"To: {OURS}, reply+bbbbbbbbbbbbbbbbbbbbbbbb@shop.example.com"], [OURS]),
    ],
)
def test_an_email_is_stored_for_each_address_of_ours_once(
    server: ImapServer, fields: list[str], recipients: list[str]
) -> None:
    server.deliver(email(*fields))

    async def use(folder: Folder) -> None:
        await folder.read()
        assert [each.recipient for each in folder.envelopes] == recipients

    run(server, use)
    assert len(server.raws("Shopbell")) == 1


@pytest.mark.parametrize("address", ["owner@example.com", f"no-{OURS}", "reply@shop.example.com", "bounce+x@a.example"])
def test_an_email_to_other_addresses_stays(server: ImapServer, address: str) -> None:
    uid = server.deliver(email(f"To: {address}"))

    async def use(folder: Folder) -> None:
        await folder.read()
        assert folder.reader.position == uid

    run(server, use)
    assert len(server.raws()) == 1


@pytest.mark.parametrize(
    ("field", "sender"),
    [("<carol@example.com>", "carol@example.com"), ("<>", ""), ("dave@example.com", "dave@example.com")],
)
def test_the_envelope_sender_comes_from_the_return_path(server: ImapServer, field: str, sender: str) -> None:
    server.deliver(email(f"Return-Path: {field}", f"To: {OURS}"))

    async def use(folder: Folder) -> None:
        await folder.read()
        assert [each.sender for each in folder.envelopes] == [sender]

    run(server, use)


def test_a_conversation_that_was_deleted_sets_an_email_aside(server: ImapServer) -> None:
    server.deliver(email(f"To: {OURS}"))

    async def use(folder: Folder) -> None:
        folder.verdict = lambda _: NotWanted("This address is no longer in use")
        await folder.read()

    run(server, use)
    assert len(server.raws("Shopbell failed")) == 1


def test_the_position_stays_before_an_email_that_must_wait(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_folder, "LATER_S", 0)
    first = server.deliver(email(f"To: {OURS}", "Subject: wait"))
    last = server.deliver(email(f"To: {OURS}"))

    async def use(folder: Folder) -> None:
        folder.verdict = lambda envelope: NotNow() if b"wait" in envelope.raw else Accepted()
        await folder.read()
        assert (folder.reader.position, len(server.raws())) == (first - 1, 1)
        assert folder.reader.wait_s == 0
        folder.verdict = lambda _: Accepted()
        await folder.read()
        assert (folder.reader.position, folder.reader.wait_s, server.raws()) == (last, None, [])
        assert len(folder.envelopes) == 3

    run(server, use)


def test_an_email_that_waits_and_is_deleted_is_forgotten(server: ImapServer) -> None:
    server.deliver(email(f"To: {OURS}"))

    async def use(folder: Folder) -> None:
        folder.verdict = lambda _: NotNow()
        await folder.read()
        assert folder.reader.wait_s is not None
        server.folders["INBOX"].clear()
        await folder.read()
        assert folder.reader.wait_s is None

    run(server, use)


def test_an_email_that_cannot_be_moved_is_decided_all_the_same(server: ImapServer) -> None:
    server.refuses = {"MOVE"}
    uid = server.deliver(email(f"To: {OURS}"))

    async def use(folder: Folder) -> None:
        for _ in range(2):
            await folder.read()
        assert (folder.reader.position, len(folder.envelopes)) == (uid, 1)

    run(server, use)


def test_an_email_with_a_damaged_header_does_not_hold_up_the_others(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_folder, "LATER_S", 0)
    server.deliver(email(f"To: {OURS}"))
    damaged = server.deliver(email(f"To: {OURS}"))
    server.deliver(email(f"To: {OURS}"))
    server.damaged = {damaged}

    async def use(folder: Folder) -> None:
        await folder.read()
        assert (folder.reader.position, len(server.raws("Shopbell"))) == (damaged - 1, 2)
        server.damaged = set()
        await folder.read()
        assert (folder.reader.position, len(server.raws("Shopbell"))) == (damaged + 1, 3)

    run(server, use)


def test_an_email_that_the_server_cannot_read_is_set_aside(server: ImapServer) -> None:
    server.unreadable = {server.deliver(email(f"To: {OURS}"))}
    server.deliver(email(f"To: {OURS}"))

    run(server, Folder.read)
    assert (len(server.raws("Shopbell failed")), len(server.raws("Shopbell"))) == (1, 1)
