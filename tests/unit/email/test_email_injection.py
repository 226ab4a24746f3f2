"""No name, subject or address can inject a header or recipient."""

import asyncio
import itertools
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses

from harness.smtp import Received, SmtpServer
from shopbell.channels.email.smtp import SmtpTransport
from shopbell.email.compose import compose
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.notifications.outcomes import Sent

CAROL = "carol@customers.example"
MALLORY = "mallory@stranger.example"
SHOP = "shop@acme.example"
BOUNCES = "bounce+token@reply.example"
REPLIES = "reply+token@reply.example"

LINE_ENDS = (
    "\r\n", "\n", "\r", "\r\n ", "\n\t", "\r\n\r\n", "\v", "\f", "\x1c", "\x85", "\u2028",
    "\u2029", "\0", "\0\r\n", "\\r\\n", "%0d%0a", "&#10;", "\u560d\u560a", "\u010a", "\r\x00\n",
    "=?UTF-8?Q?=0A?=", "=?UTF-8?Q?=0D=0A?=", "=?utf-8?b?DQo=?=", "=?UTF-8?Q?=E2=80=A8?=", "=?us-ascii?q?=0d=0a_?=",
    "=?UTF-8?Q?=3D=3FUTF-8=3FQ=3F=0A=3F=3D?=", "=?utf-8?q?a?=\r\n =?utf-8?q?=0A?=", "=?utf-16?b?AAoACg==?=",
    "=?utf-7?q?+AAoACg-?=", "\u202e\n", "\u2066\r\n\u2069", "\ud800\n", "\ufeff\r\n", '"\r\n', "\\\r\n",
)  # fmt: skip
HEADERS = (
    f"Bcc: {MALLORY}",
    f"To: {MALLORY}",
    f"Cc: <{MALLORY}>, {CAROL}",
    f"Resent-To: {MALLORY}",
    f"Reply-To: {MALLORY}",
    f"=?UTF-8?Q?Bcc=3A_mallory=40stranger.example?=\nBcc: {MALLORY}",
    f".\r\nMAIL FROM:<{MALLORY}>\r\nRCPT TO:<{MALLORY}>\r\nDATA\r\nBcc: {MALLORY}",
    f"Content-Type: text/html\r\n\r\n<b>{MALLORY}",
)
FIELDS = ("subject", "business_name", "recipient_name", "customer_name", "author", "text", "attachment_name",
          "in_reply_to", "references")  # fmt: skip
FRAMES = ("Re: hello{}", '"{}" <x@y.example>', "{}", "Acme, {}; the shop <{}>", f"{{}}, {MALLORY}")


@dataclass(frozen=True)
class Attempt:
    """What a stranger wrote, and where."""

    field: str
    text: str


def attempts() -> Iterator[Attempt]:
    """Every line end before every header, in the fields in turn, in the frames in turn."""
    frames, fields = itertools.cycle(FRAMES), itertools.cycle(FIELDS)
    for end, head in itertools.product(LINE_ENDS, HEADERS):
        for _ in range(4):
            frame = next(frames)
            yield Attempt(next(fields), frame.replace("{}", f"{end}{head}"))


def letter_of(attempt: Attempt) -> EmailContent:
    """A mail to Carol in which the stranger's text stands."""
    given: dict[str, object] = {
        "purpose": Purpose.BUSINESS_NOTICE if attempt.field == "customer_name" else Purpose.REPLY,
        "message_id": "<one@reply.example>",
        "envelope_sender": BOUNCES,
        "sender": SHOP,
        "recipient": CAROL,
        "business_name": "Acme",
        "at_ms": 1_700_000_000_000,
        "reply_to": REPLIES,
        "is_follow_up": True,
    }
    said = {"author": "Alice", "text": "Hello", "attachment_name": "a.pdf"}
    if attempt.field in said:
        said[attempt.field] = attempt.text
    elif attempt.field == "references":
        given["references"] = ["<first@reply.example>", attempt.text, f"<{attempt.text}>"]
    else:
        given[attempt.field] = attempt.text
    given["messages"] = (Quoted(at_ms=1_700_000_000_000, **said),)  # type: ignore[arg-type]
    return EmailContent(**given)  # type: ignore[arg-type]


EXPECTED = {
    "date", "from", "to", "message-id", "subject", "x-auto-response-suppress", "reply-to", "in-reply-to", "references",
    "auto-submitted", "mime-version", "content-type",
}  # fmt: skip


def faults_of(received: Received) -> list[str]:
    """The faults of an email for Carol alone, found by two parsers."""
    faults = []
    if (received.sender, received.recipients) != (BOUNCES, (CAROL,)):
        faults.append("another envelope")
    head = received.content.partition(b"\r\n\r\n")[0]
    if any(byte < 32 for byte in head.replace(b"\r\n", b"")) or not head.isascii():
        faults.append("a control character in the headers")
    if max(map(len, received.content.split(b"\r\n"))) > 998:
        faults.append("a line that is too long")
    plain = message_from_bytes(received.content)
    names = sorted(name.lower() for name in plain.keys())  # noqa: SIM118 - of a mail, one per header
    if not set(names) <= EXPECTED or len(set(names)) != len(names):
        faults.append("another header")
    people = getaddresses(
        [str(value) for name in ("to", "cc", "bcc", "resent-to") for value in plain.get_all(name, [])]
    )
    if [address for _, address in people] != [CAROL]:
        faults.append("another recipient")
    if not plain.is_multipart() or plain.defects:
        faults.append("another body")
    try:
        return faults + list(_faults_by_rules(message_from_bytes(received.content, policy=policy.default)))
    except (AttributeError, ValueError, IndexError):  # the interpreter's own parser stumbles over what was made of some
        return [*faults, "unreadable"]


def _faults_by_rules(message: EmailMessage) -> Iterator[str]:
    for name, address in (("to", CAROL), ("from", SHOP), ("reply-to", REPLIES)):
        header = message[name]
        if header is None or [each.addr_spec for each in header.addresses] != [address] or header.defects:
            yield f"another {name}"
    if not message.is_multipart() or message.defects:
        yield "another body"


def naive(attempt: Attempt) -> bytes:
    """A mail as one would write it who trusts what strangers write: the control."""
    given = {"subject": "hello", "business_name": "Acme", "recipient_name": "Carol"} | {attempt.field: attempt.text}
    head = (
        f"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <one@reply.example>\r\nReply-To: {REPLIES}\r\n"
        f"From: {given['business_name']} <{SHOP}>\r\nTo: {given['recipient_name']} <{CAROL}>\r\n"
        f"Subject: {given['subject']}\r\nContent-Type: multipart/alternative; boundary=x\r\n"
    )
    body = "--x\r\nContent-Type: text/plain\r\n\r\nHello\r\n--x--\r\n"
    return f"{head}\r\n{body}".encode("utf-8", "replace")


def test_control_an_unsafe_builder_is_detected() -> None:
    tried = [attempt for attempt in attempts() if attempt.field in ("subject", "business_name", "recipient_name")][::5]
    with SmtpServer() as server:
        with smtplib.SMTP("127.0.0.1", server.port, local_hostname="acme.example") as client:
            for attempt in tried:
                content = naive(attempt)
                message = message_from_bytes(content)
                people = [str(each) for name in ("to", "cc", "bcc") for each in message.get_all(name, [])]
                found = [address for _, address in getaddresses(people) if "@" in address] or [CAROL]
                client.sendmail(BOUNCES, found, content)
        faults = [faults_of(received) for received in server.received]
    assert len(faults) == len(tried) > 60
    assert sum(bool(found) for found in faults) > len(tried) / 3
    found = {fault for each in faults for fault in each}
    assert {"another envelope", "another header", "another recipient", "another body"} <= found


def test_more_than_a_thousand_injections_reach_one_recipient_each() -> None:
    tried = list(attempts())
    assert len(tried) >= 1_000
    assert {attempt.field for attempt in tried} == set(FIELDS)

    async def send_all(url: str) -> None:
        channel = SmtpTransport(
            url, needs_starttls=False, hello_name="acme.example", connect_timeout_s=20, timeout_s=60
        )
        for attempt in tried:
            assert await channel.send(compose(letter_of(attempt))) == Sent(), attempt
        await channel.close()

    with SmtpServer() as server:
        asyncio.run(send_all(server.url))
        assert len(server.received) == len(tried)
        faults = {repr(attempt): faults_of(received) for attempt, received in zip(tried, server.received, strict=True)}
    assert {attempt: found for attempt, found in faults.items() if found} == {}
