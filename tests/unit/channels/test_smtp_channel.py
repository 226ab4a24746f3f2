"""Emails through a real SMTP server, and how failures are reported."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest
import uvloop

from harness.certificates import Authority
from harness.ports import free_port
from harness.smtp import PASSWORD, USER, SmtpServer
from shopbell.channels.email.folder import EmailFolder
from shopbell.channels.email.smtp import SmtpTransport
from shopbell.email.compose import compose
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.email.outgoing import OutgoingEmail
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown

LONG_S = 20.0
SHORT_S = 1.0
CAROL = "carol@customers.example"
BOUNCES = "bounce+token@reply.example"
TEXT = "Hello Carol,\n.\n..\nFrom here on: \U0001f6b2 مرحبا\n" + "long " * 300


def a_mail(recipient: str = CAROL, text: str = TEXT, **more: object) -> OutgoingEmail:
    """A mail of Acme's to Carol."""
    given: dict[str, object] = {
        "purpose": Purpose.REPLY,
        "message_id": "<one@reply.example>",
        "envelope_sender": BOUNCES,
        "sender": "shop@acme.example",
        "recipient": recipient,
        "business_name": "Acme Vélos",
        "at_ms": 1_700_000_000_000,
        "messages": (Quoted("Alice", text, 1_700_000_000_000),),
    }
    return compose(EmailContent(**(given | more)))  # type: ignore[arg-type]


def channel_to(
    url: str,
    *,
    needs_starttls: bool = False,
    trust: ssl.SSLContext | None = None,
    timeout_s: float = LONG_S,
    connect_timeout_s: float = LONG_S,
) -> SmtpTransport:
    """The channel to a server."""
    return SmtpTransport(
        url,
        needs_starttls=needs_starttls,
        hello_name="acme.example",
        connect_timeout_s=connect_timeout_s,
        timeout_s=timeout_s,
        ssl_context=trust,
    )


async def outcomes_of(channel: SmtpTransport, *mails: OutgoingEmail) -> list[Outcome]:
    """Send mails one after the other."""
    try:
        return [await channel.send(mail) for mail in mails]
    finally:
        await channel.close()


Run = Callable[[Awaitable[list[Outcome]]], list[Outcome]]


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """The event loop of the server, and the one of computers that have no such."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda coroutine: runner.run(coroutine)  # type: ignore[arg-type]


def test_an_email_arrives_as_written(run: Run) -> None:
    mail = a_mail()
    with SmtpServer() as server:
        assert run(outcomes_of(channel_to(server.url), mail)) == [Sent()]
        (received,) = server.received
    assert (received.sender, received.recipients) == (BOUNCES, (CAROL,))
    assert received.content == mail.as_bytes()
    body = received.message.get_body(("plain",))
    assert body is not None
    assert TEXT.rstrip() in "\n".join(line.rstrip() for line in body.get_content().splitlines())
    assert server.hellos == ["acme.example"]


def test_consecutive_emails_share_a_connection(run: Run) -> None:
    mails = [a_mail(text=f"number {number}") for number in range(5)]
    with SmtpServer() as server:
        assert run(outcomes_of(channel_to(server.url), *mails)) == [Sent()] * 5
        assert [mail.content for mail in server.received] == [mail.as_bytes() for mail in mails]
        assert server.connections == 1


def test_concurrent_emails_arrive_once_each(run: Run) -> None:
    mails = [a_mail(f"customer{number}@customers.example") for number in range(40)]

    async def at_once(channel: SmtpTransport) -> list[Outcome]:
        outcomes = await asyncio.gather(*map(channel.send, mails))
        await channel.close()
        return outcomes

    with SmtpServer() as server:
        assert run(at_once(channel_to(server.url))) == [Sent()] * 40
        assert sorted(mail.recipients for mail in server.received) == sorted((mail.recipient,) for mail in mails)
        assert server.connections <= 4


def test_a_refused_email_does_not_affect_the_next_one(run: Run) -> None:
    with SmtpServer(answers={"RCPT": ["550 5.1.1 <carol@customers.example> unknown"]}) as server:
        first, second = run(outcomes_of(channel_to(server.url), a_mail(), a_mail("dave@customers.example")))
        assert (first, second) == (Refused("mailbox_unknown 5.1.1"), Sent())
        assert [mail.recipients for mail in server.received] == [("dave@customers.example",)]
        assert server.connections == 1


def test_a_connection_closed_by_the_server_loses_no_email(run: Run) -> None:
    with SmtpServer() as server:

        async def test(channel: SmtpTransport) -> list[Outcome]:
            first = await channel.send(a_mail())
            server.cut()
            second = await channel.send(a_mail())
            await channel.close()
            return [first, second]

        assert run(test(channel_to(server.url))) == [Sent(), Sent()]
        assert (len(server.received), server.connections) == (2, 2)


@pytest.mark.parametrize(
    ("command", "answer", "outcome"),
    [
        ("RCPT", "451 4.7.1 Greylisted, carol@customers.example, come back", TryLater("policy_refused 4.7.1")),
        ("RCPT", "450 try again", TryLater("mailbox_unavailable 450")),
        ("RCPT", "452 4.2.2 full", TryLater("mailbox_full 4.2.2")),
        ("RCPT", "421 4.3.2 going down", TryLater("server_closes")),
        ("RCPT", "550 carol@customers.example who?", Refused("mailbox_unavailable 550")),
        ("RCPT", "550 5.1.1 <carol@customers.example>: unknown", Refused("mailbox_unknown 5.1.1")),
        ("RCPT", "550-5.7.1 not wanted,\r\n550 5.7.1 carol@customers.example", Refused("policy_refused 5.7.1")),
        ("RCPT", "550 5.99.1 new", Refused("mail_refused 5.99.1")),
        ("RCPT", "550 4.1.1 contradicts itself", Refused("mailbox_unavailable 550")),
        ("RCPT", "530 5.7.0 log in first", TryLater("authentication_required")),
        ("MAIL", "451 4.3.0 trouble", TryLater("mail_system_trouble 4.3.0")),
        ("MAIL", "553 5.1.8 who is bounce+token@reply.example", Refused("address_refused 5.1.8")),
        ("READY", "452 4.3.1 disk", TryLater("mail_system_trouble 4.3.1")),
        ("READY", "554 5.5.1 no recipients", Refused("protocol_error 5.5.1")),
        ("DATA", "451 4.3.0 disk", TryLater("mail_system_trouble 4.3.0")),
        ("DATA", "421 4.3.2 going down", TryLater("server_closes")),
        ("DATA", "552 5.3.4 too large", Refused("mail_too_large 5.3.4")),
        ("DATA", "554 5.6.0 Hello Carol is spam", Refused("content_refused 5.6.0")),
        ("DATA", "nonsense", Unknown("protocol_error")),
        ("MAIL", "nonsense", TryLater("protocol_error")),
    ],
)
def test_a_failure_is_described_in_our_words_and_codes_and_never_in_the_servers(
    command: str, answer: str, outcome: Outcome, run: Run
) -> None:
    with SmtpServer(answers={command: answer}) as server:
        assert run(outcomes_of(channel_to(server.url), a_mail())) == [outcome]
        assert server.received == []


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("MAIL", TryLater("connection_lost")),
        ("RCPT", TryLater("connection_lost")),
        ("READY", TryLater("connection_lost")),
        ("DATA", Unknown("connection_lost")),
    ],
)
def test_the_outcome_is_unknown_only_after_the_email_was_written(command: str, outcome: Outcome, run: Run) -> None:
    with SmtpServer(drop_at=command) as server:
        assert run(outcomes_of(channel_to(server.url), a_mail())) == [outcome]


@pytest.mark.parametrize(
    ("command", "outcome"),
    [("MAIL", TryLater("timeout")), ("READY", TryLater("timeout")), ("DATA", Unknown("timeout"))],
)
def test_a_slow_server_is_dropped_at_the_deadline(command: str, outcome: Outcome, run: Run) -> None:
    with SmtpServer(dawdle_at=command) as server:
        begun_s = time.monotonic()
        assert run(outcomes_of(channel_to(server.url, timeout_s=SHORT_S), a_mail())) == [outcome]
        assert time.monotonic() - begun_s < LONG_S / 2


def test_a_server_slow_with_each_reply_is_dropped_at_the_deadline(run: Run) -> None:
    with SmtpServer(pause_s=0.4) as server:
        assert run(outcomes_of(channel_to(server.url, timeout_s=1), a_mail())) == [TryLater("timeout")]
        assert server.received == []


def test_a_server_that_never_greets_is_dropped_at_the_deadline(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = channel_to(f"smtp://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_s=SHORT_S)
        begun_s = time.monotonic()
        assert run(outcomes_of(channel, a_mail())) == [TryLater("connect_timeout")]
        assert time.monotonic() - begun_s < LONG_S / 2


def test_an_unreachable_server_is_retried_later(run: Run) -> None:
    assert run(outcomes_of(channel_to(f"smtp://127.0.0.1:{free_port()}"), a_mail())) == [TryLater("connection_failed")]


def test_user_and_password_authenticate(run: Run) -> None:
    with SmtpServer(needs_login=True) as server:
        address = f"smtp://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
        assert run(outcomes_of(channel_to(address), a_mail())) == [Sent()]
        assert [mail.user for mail in server.received] == [USER]


@pytest.mark.parametrize(
    ("login", "reason"), [(f"{USER}:wrong@", "authentication_failed"), ("", "authentication_required")]
)
def test_with_a_wrong_password_emails_are_retried_later(login: str, reason: str, run: Run) -> None:
    with SmtpServer(needs_login=True) as server:
        assert run(outcomes_of(channel_to(f"smtp://{login}127.0.0.1:{server.port}"), a_mail())) == [TryLater(reason)]
        assert server.received == []


def test_a_password_is_not_sent_to_a_server_without_authentication(run: Run) -> None:
    with SmtpServer() as server:
        address = f"smtp://{USER}:secret@127.0.0.1:{server.port}"
        assert run(outcomes_of(channel_to(address), a_mail())) == [TryLater("no_tls_or_authentication_offered")]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_an_email_is_encrypted_for_a_server_with_a_valid_certificate(
    kind: str, authority: Authority, tmp_path: Path, run: Run
) -> None:
    with SmtpServer(**{kind: authority.server("localhost", tmp_path)}) as server:  # type: ignore[arg-type]
        url = server.url.replace("127.0.0.1", "localhost")
        mails = [a_mail(), a_mail()]
        channel = channel_to(url, needs_starttls=True, trust=authority.trust())
        assert run(outcomes_of(channel, *mails)) == [Sent()] * 2
        assert [mail.is_encrypted for mail in server.received] == [True, True]
        assert server.connections == 1


@pytest.mark.parametrize("kind", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["name", "authority", "expired", "system"])
def test_a_server_with_an_invalid_certificate_gets_nothing(
    kind: str, wrong: str, authority: Authority, tmp_path: Path, run: Run
) -> None:
    name = "other.example" if wrong == "name" else "localhost"
    trusted = {"authority": Authority().trust(), "system": None}.get(wrong, authority.trust())
    certificate = authority.server(name, tmp_path, expired=wrong == "expired")
    with SmtpServer(**{kind: certificate}) as server:  # type: ignore[arg-type]
        url = server.url.replace("127.0.0.1", "localhost")
        channel = channel_to(url, needs_starttls=True, trust=trusted)
        assert run(outcomes_of(channel, a_mail())) == [TryLater("tls_failed")]
        assert server.received == []


def test_a_server_without_starttls_gets_neither_password_nor_email(run: Run) -> None:
    with SmtpServer() as server:
        channel = channel_to(f"smtp://{USER}:secret@127.0.0.1:{server.port}", needs_starttls=True)
        assert run(outcomes_of(channel, a_mail())) == [TryLater("no_tls_or_authentication_offered")]
        assert server.received == []


def test_an_internationalised_address_needs_a_server_with_smtputf8(run: Run) -> None:
    mail = a_mail("用户@customers.example")
    with SmtpServer() as server:
        assert run(outcomes_of(channel_to(server.url), mail)) == [Refused("address_needs_smtputf8")]
    with SmtpServer(utf8=True) as server:
        assert run(outcomes_of(channel_to(server.url), mail, a_mail())) == [Sent(), Sent()]
        first, second = server.received
        assert first.recipients == ("用户@customers.example",)
        assert str(first.message["To"]) == "用户@customers.example"
        assert "SMTPUTF8" in first.options
        assert "SMTPUTF8" not in second.options


def test_an_email_with_a_line_over_the_smtp_limit_is_not_sent(run: Run) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message.set_payload("x" * 2_000)
    with SmtpServer() as server:
        channel = channel_to(server.url)
        assert run(outcomes_of(channel, OutgoingEmail(BOUNCES, CAROL, message))) == [Refused("mail_is_not_valid")]
        assert server.received == []


def test_in_development_emails_are_private_files_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "outbox"
    channel = EmailFolder(folder, files_max=3)
    mails = [a_mail(text=f"number {number}") for number in range(5)]
    assert asyncio.run(_all(channel, mails)) == [Sent()] * 5
    files = sorted(folder.iterdir())
    assert [file.suffix for file in files] == [".eml"] * 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    for file, mail in zip(files, mails[2:], strict=True):
        assert file.read_bytes().endswith(mail.as_bytes())
        assert file.read_bytes().startswith(f"Return-Path: <{BOUNCES}>\r\nX-Envelope-To: <{CAROL}>\r\n".encode())


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    channel = EmailFolder(tmp_path / "outbox")
    assert asyncio.run(_all(channel, [a_mail()])) == [TryLater("folder_cannot_be_written")]


async def _all(channel: EmailFolder, mails: list[OutgoingEmail]) -> list[Outcome]:
    return [await channel.send(mail) for mail in mails]
