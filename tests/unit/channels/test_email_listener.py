"""Inbound email by LMTP and SMTP is acknowledged only once stored."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.ports import free_port
from shopbell.channels.email.listener import CONNECTIONS_MAX, RECIPIENTS_MAX, MailListener
from shopbell.email.auto_submitted import Reason
from shopbell.email.envelope import Accepted, Envelope, NotNow, NotWanted, Verdict
from shopbell.email.parse import IncomingEmail
from shopbell.errors import CommandError, StorageError
from shopbell.settings.inbound_mail import MailListenerSettings

OURS = "reply+ours@mail.shop.example.com"
OTHER = "bounce+ours@mail.shop.example.com"
CAROL = "carol@example.com"
MAIL = b"From: Carol <carol@example.com>\r\nSubject: Hello\r\n\r\n.a dot\r\n..two\r\n\r\nYes, on Friday.\r\n"
SEEN = ".a dot\n..two\n\nYes, on Friday."
WAIT_S = 20


@dataclass
class Listening:
    """A listener in a thread of its own, and what it was given to keep."""

    port: int
    settings: MailListenerSettings
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    kept: list[tuple[Envelope, IncomingEmail]] = field(default_factory=list)
    verdict: Callable[[Envelope], Verdict] = lambda _: Accepted()
    arrived: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event | None = None
    is_away: bool = False

    async def accepts(self, address: str) -> bool:
        """Knows the addresses that the tests use."""
        if self.is_away:
            raise StorageError
        return "+ours@" in address

    async def receive(self, envelope: Envelope, mail: IncomingEmail) -> Verdict:
        """Keeps a mail as the test says."""
        self.arrived.set()
        if self.go_on is not None:
            await asyncio.to_thread(self.go_on.wait, WAIT_S)
        verdict = self.verdict(envelope)
        self.kept.append((envelope, mail))
        return verdict

    def run(self, coroutine: Any) -> Any:
        """Run something in the listener's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    def smtp(self) -> smtplib.SMTP:
        """A client of SMTP."""
        return smtplib.SMTP("127.0.0.1", self.port, timeout=WAIT_S)

    def lmtp(self) -> smtplib.LMTP:
        """A client of LMTP."""
        return smtplib.LMTP("127.0.0.1", self.port, timeout=WAIT_S)


@contextmanager
def listening(protocol: str, **settings: Any) -> Iterator[Listening]:
    """A listener while the block runs."""
    port = free_port()
    given = {"mail_listen": f"{protocol}://127.0.0.1:{port}", "mail_reply_domain": "mail.shop.example.com"}
    there = Listening(port, MailListenerSettings(**given | settings))
    thread = threading.Thread(target=there.loop.run_forever)
    thread.start()

    async def make() -> MailListener:
        listener = MailListener(there.settings, there.accepts, there.receive)
        await listener.start()
        return listener

    listener = there.run(make())
    try:
        yield there
    finally:
        there.run(listener.close())
        there.loop.call_soon_threadsafe(there.loop.stop)
        thread.join()
        there.loop.close()


@pytest.fixture
def smtp() -> Iterator[Listening]:
    """A listener that speaks SMTP."""
    with listening("smtp") as there:
        yield there


@pytest.fixture
def lmtp() -> Iterator[Listening]:
    """A listener that speaks LMTP."""
    with listening("lmtp") as there:
        yield there


def answers_of(client: smtplib.SMTP, recipients: list[str], raw: bytes = MAIL) -> list[int]:
    """Hand a mail over by hand; the code for each answer after the last dot."""
    client.ehlo_or_helo_if_needed()
    client.mail(CAROL)
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(b"".join(b"." + line if line.startswith(b".") else line for line in raw.splitlines(keepends=True)))
    client.send(b".\r\n")
    return [client.getreply()[0] for _ in (recipients if isinstance(client, smtplib.LMTP) else [0])]


def test_an_email_arrives_by_smtp_unchanged(smtp: Listening) -> None:
    with smtp.smtp() as client:
        assert client.sendmail(CAROL, [OURS], MAIL) == {}
    ((envelope, mail),) = smtp.kept
    assert (envelope.sender, envelope.recipient, envelope.raw) == (CAROL, OURS, MAIL)
    assert mail.text == SEEN
    assert mail.sender == CAROL


def test_an_email_arrives_by_lmtp_once_per_recipient(lmtp: Listening) -> None:
    lmtp.verdict = lambda envelope: Accepted() if envelope.recipient == OURS else NotWanted("No such conversation")
    with lmtp.lmtp() as client:
        assert answers_of(client, [OURS, OTHER]) == [250, 550]
        assert client.noop()[0] == 250
    assert [envelope.recipient for envelope, _ in lmtp.kept] == [OURS, OTHER]


def test_an_email_is_accepted_only_after_it_is_stored(smtp: Listening) -> None:
    smtp.go_on = threading.Event()
    with smtp.smtp() as client, ThreadPoolExecutor(1) as pool:
        sending: Future[list[int]] = pool.submit(answers_of, client, [OURS])
        try:
            assert smtp.arrived.wait(WAIT_S)
            with pytest.raises(TimeoutError):
                sending.result(0.3)
        finally:
            smtp.go_on.set()
        assert sending.result(WAIT_S) == [250]


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_an_email_that_cannot_be_stored_stays_with_its_sender(protocol: str) -> None:
    def fail(_: Envelope) -> Verdict:
        raise StorageError("gone")

    with listening(protocol) as there:
        there.verdict = fail
        with there.lmtp() if protocol == "lmtp" else there.smtp() as client:
            assert answers_of(client, [OURS]) == [451]
            there.verdict = lambda _: NotNow()
            assert answers_of(client, [OURS]) == [451]
            there.verdict = lambda _: Accepted()
            assert answers_of(client, [OURS]) == [250]


def test_a_bug_loses_no_email(smtp: Listening) -> None:
    def break_down(_: Envelope) -> Verdict:
        raise ZeroDivisionError

    smtp.verdict = break_down
    with smtp.smtp() as client:
        assert answers_of(client, [OURS]) == [451]


def test_by_smtp_all_recipients_are_retried_if_one_must_be(smtp: Listening) -> None:
    smtp.verdict = lambda envelope: Accepted() if envelope.recipient == OURS else NotNow()
    with smtp.smtp() as client:
        assert answers_of(client, [OURS, OTHER]) == [451]


@pytest.mark.parametrize(
    "address",
    [
        "stranger@example.org",
        "postmaster@mail.shop.example.com",
        "stranger%example.org@mail.shop.example.com",
        '"stranger@example.org"@mail.shop.example.com',
        "@mail.shop.example.com:stranger@example.org",
        "stranger!example.org",
    ],
)
def test_the_listener_does_not_relay(smtp: Listening, address: str) -> None:
    with smtp.smtp() as client:
        client.ehlo()
        client.mail(CAROL)
        assert client.docmd("RCPT", f"TO:<{address}>")[0] in (501, 550, 553)
        assert client.docmd("DATA")[0] == 503
    assert smtp.kept == []


def test_while_the_database_is_away_emails_stay_with_their_sender(smtp: Listening) -> None:
    smtp.is_away = True
    with smtp.smtp() as client:
        client.ehlo()
        client.mail(CAROL)
        assert client.rcpt(OURS)[0] == 451
    assert smtp.kept == []


def test_an_empty_envelope_sender_means_an_automatic_email(smtp: Listening) -> None:
    with smtp.smtp() as client:
        assert client.sendmail("", [OTHER], MAIL) == {}
        assert client.sendmail(CAROL, [OURS], MAIL) == {}
    assert [(each.sender, mail.automatic) for each, mail in smtp.kept] == [("", Reason.EMPTY_SENDER), (CAROL, None)]


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_a_too_large_email_is_refused_with_or_without_a_declared_size(protocol: str) -> None:
    with listening(protocol, mail_limit_bytes=100_000) as there:
        with there.lmtp() if protocol == "lmtp" else there.smtp() as client:
            client.ehlo_or_helo_if_needed()
            assert client.esmtp_features["size"] == "100000"
            assert client.docmd("MAIL", f"FROM:<{CAROL}> SIZE=100001")[0] == 552
            assert set(answers_of(client, [OURS, OTHER], MAIL + b"x" * 100_000 + b"\r\n")) == {552}
            assert set(answers_of(client, [OURS, OTHER], MAIL + b"x\r\n" * 40_000)) == {552}
            assert set(answers_of(client, [OURS], MAIL + b"x" * 90_000 + b"\r\n")) == {250}
        assert len(there.kept) == 1


def test_lines_of_any_length_arrive_complete(smtp: Listening) -> None:
    lengths = [998, 65_533, 65_534, 65_535, 65_536, 65_537, 131_072, 1_000_000]
    raw = MAIL + b"".join(b"x" * length + b"\r\n.\r\r\n" for length in lengths)
    with smtp.smtp() as client:
        assert answers_of(client, [OURS], raw) == [250]
    assert smtp.kept[0][0].raw == raw


def test_dots_in_a_line_neither_end_an_email_nor_disappear(smtp: Listening) -> None:
    """Long lines come in pieces: only the first piece's dot is the protocol's."""
    raw = b"From: Carol <carol@example.com>\r\n\r\n" + (b"." * 140_000 + b"\r\n") * 10
    with smtp.smtp() as client:
        client.ehlo()
        client.mail(CAROL)
        client.rcpt(OURS)
        client.docmd("DATA")
        assert client.sock is not None
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for line in raw.splitlines():
            client.send(b"." + line if line.startswith(b".") else line)
            client.send(b"\r\n")
        client.send(b".\r\n")
        assert client.getreply()[0] == 250
    assert smtp.kept[0][0].raw == raw


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"])
def test_unusual_line_endings_cannot_smuggle_a_second_email(smtp: Listening, ending: bytes) -> None:
    """Servers that see the end of a mail where others do not let strangers write mails in others' names."""
    hidden = b"a" + ending + b"MAIL FROM:<boss@example.com>\r\nRCPT TO:<reply+ours@x.example>\r\nDATA\r\nhidden\r\n"
    with smtp.smtp() as client:
        client.ehlo()
        client.mail(CAROL)
        client.rcpt(OURS)
        client.docmd("DATA")
        client.send(hidden + b".\r\n")
        assert client.getreply()[0] == 250
        assert client.noop()[0] == 250
    ((envelope, _),) = smtp.kept
    assert envelope.sender == CAROL
    assert envelope.raw.endswith(b"hidden\r\n")


def test_a_client_not_on_the_allow_list_is_refused() -> None:
    with listening("smtp", mail_peers="192.0.2.0/24") as there:
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            there.smtp()
        assert refused.value.smtp_code == 554


def test_a_port_in_use_is_reported_and_shared_by_processes_of_one_server() -> None:
    async def try_twice(settings: MailListenerSettings, *, shares_port: bool) -> None:
        listeners = [MailListener(settings, nobody, nobody, shares_port=shares_port) for _ in range(2)]
        try:
            for listener in listeners:
                await listener.start()
        finally:
            for listener in listeners:
                await listener.close()

    async def nobody(*_: Any) -> Any:
        return NotNow()

    port = free_port()
    settings = MailListenerSettings(mail_listen=f"lmtp://127.0.0.1:{port}", mail_reply_domain="mail.shop.example.com")
    asyncio.run(try_twice(settings, shares_port=True))
    with pytest.raises(CommandError, match=f"SHOPBELL_MAIL_LISTEN: cannot listen on 127.0.0.1, port {port}: Address"):
        asyncio.run(try_twice(settings, shares_port=False))


def test_concurrent_connections_are_limited(smtp: Listening) -> None:
    clients = [smtp.smtp() for _ in range(CONNECTIONS_MAX)]
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtp.smtp()
    assert refused.value.smtp_code == 421
    for client in clients:
        client.quit()
    with smtp.smtp() as client:
        assert answers_of(client, [OURS]) == [250]


def test_concurrent_recipients_are_limited(lmtp: Listening) -> None:
    with lmtp.lmtp() as client:
        client.ehlo()
        client.mail(CAROL)
        codes = [client.rcpt(OURS)[0] for _ in range(RECIPIENTS_MAX + 1)]
    assert codes == [250] * RECIPIENTS_MAX + [452]


def test_each_protocol_reports_commands_of_the_other(smtp: Listening, lmtp: Listening) -> None:
    with smtp.smtp() as client:
        assert client.docmd("LHLO", "x")[0] == 500
    with lmtp.smtp() as client:
        assert client.docmd("EHLO", "x")[0] == 500
        assert client.docmd("HELO", "x")[0] == 500


def test_authentication_and_address_verification_are_refused(smtp: Listening) -> None:
    with smtp.smtp() as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] == 502
        assert client.verify(OURS)[0] == client.verify("stranger@example.org")[0] == 252
        assert client.docmd("EXPN", "all")[0] == 502


def test_an_unknown_command_is_not_echoed(smtp: Listening) -> None:
    with socket.create_connection(("127.0.0.1", smtp.port), timeout=WAIT_S) as raw:
        stream = raw.makefile("rwb")
        assert stream.readline().startswith(b"220 ")
        for line in (
            b"MAIL FROM:<\xff\xfe>",
            b"EHLO x",
            b"MAIL FROM:<",
            b"MAIL FROM:<a@",
            b"RCPT TO:<>",
            b"\0\0",
            b"A" * 5_000,
        ):
            stream.write(line + b"\r\n")
            stream.flush()
            answer = stream.readline()
            while answer[3:4] == b"-":
                answer = stream.readline()
            assert answer[:1] in (b"2", b"5")
            assert b"AAAA" not in answer


def test_a_client_that_disconnects_midway_leaves_nothing(smtp: Listening) -> None:
    with smtp.smtp() as client:
        client.ehlo()
        client.mail(CAROL)
        client.rcpt(OURS)
        client.docmd("DATA")
        client.send(MAIL)
        client.close()
    with smtp.smtp() as client:
        assert answers_of(client, [OURS]) == [250]
    assert len(smtp.kept) == 1


def test_at_shutdown_emails_being_stored_are_answered_and_idle_clients_are_disconnected() -> None:
    go_on = threading.Event()

    def go_on_once_it_ends(idle: socket.socket) -> None:
        assert idle.recv(100).startswith(b"220 ")
        assert idle.recv(100) == b""
        go_on.set()

    with ThreadPoolExecutor(2) as pool:
        with listening("smtp") as there:
            there.go_on = go_on
            idle = socket.create_connection(("127.0.0.1", there.port), timeout=WAIT_S)
            client = there.smtp()
            sending = pool.submit(answers_of, client, [OURS])
            assert there.arrived.wait(WAIT_S)
            ended = pool.submit(go_on_once_it_ends, idle)
        ended.result(WAIT_S)
        assert sending.result(WAIT_S) == [250]
        client.close()
        idle.close()


def test_logs_contain_no_addresses_or_texts(smtp: Listening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with smtp.smtp() as client:
        answers_of(client, [OURS])
        client.docmd(CAROL)
    assert CAROL not in caplog.text
    assert "Friday" not in caplog.text
