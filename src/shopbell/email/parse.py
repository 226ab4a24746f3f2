"""Parse an inbound email. It never raises: ``faults`` lists the problems of the email."""

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from shopbell.email import decoding, reply_text
from shopbell.email.address_lists import addresses
from shopbell.email.authentication_results import Authentication, authentication_of
from shopbell.email.auto_submitted import Reason, why_automatic
from shopbell.email.bodies import Body, EmailAttachment
from shopbell.email.bounces import Bounce, bounce_of
from shopbell.email.mime import Part, split

REFERENCES_MAX = 100
_MESSAGE_ID_MAX_CHARACTERS = 500
_WORD_CHARSET = re.compile(rb"=\?([A-Za-z0-9_.:+-]{1,40})[?*]")


@dataclass(frozen=True, slots=True)
class IncomingEmail:
    """An inbound email. Its sender is only a claim unless ``authentication`` proves it.

    Args:
        sender: the normalized address in From; None unless there is exactly one.
        sender_name: the display name in From; may be empty.
        recipients: the normalized addresses in To, Cc, Delivered-To and X-Original-To.
        subject: one line; may be empty.
        message_id: including angle brackets.
        in_reply_to: including angle brackets.
        references: including angle brackets, oldest first.
        date_ms: the date that the sender claims, in Unix ms.
        text: the whole text.
        reply_text: the text without quoted text.
        html: the sanitized HTML; None if there is none.
        automatic: why it is considered automatic; None if a person wrote it.
        bounce: the report, if this is a bounce of an email that we sent.
        authentication: the receiving server's results; None if it reports none.
        faults: the problems found, as short phrases that contain nothing from the email.
    """

    sender: str | None
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    date_ms: int | None
    text: str = field(repr=False)
    reply_text: str = field(repr=False)
    html: str | None = field(repr=False)
    attachments: tuple[EmailAttachment, ...]
    automatic: Reason | None
    bounce: Bounce | None
    authentication: Authentication | None
    faults: tuple[str, ...]

    @property
    def is_automatic(self) -> bool:
        """Whether a program wrote it: it must never get an automatic reply."""
        return self.automatic is not None


def parse(raw: bytes, *, authserv_id: str | None = None, envelope_sender: str | None = None) -> IncomingEmail:
    """Parse an email. Do not call it in the event loop.

    A hostile email can take several hundred milliseconds.

    Args:
        raw: any bytes.
        authserv_id: the receiving server's name in ``Authentication-Results``; None if no server is trusted.
        envelope_sender: "" in bounces and automatic replies; None if unknown.
    """
    email, faults = split(raw)
    charset = _charset_of(email)
    body = Body(list(faults), charset)
    body.read(email)
    text = body.text()
    shown = body.html()
    pairs = addresses(email.all("from"), charset)
    sender_name, sender = pairs[0] if len({address for _, address in pairs}) == 1 else ("", None)
    if sender is None:
        body.note("the sender is missing or not one alone")
    to = [value for name in ("to", "cc", "delivered-to", "x-original-to") for value in email.all(name)]
    bounce = bounce_of(email, text, sender=sender, envelope_sender=envelope_sender)
    automatic = why_automatic(email, sender=sender, envelope_sender=envelope_sender)
    in_reply_to = _message_ids(email.first("in-reply-to"))
    subject = decoding.header(email.first("subject"), charset)
    return IncomingEmail(
        sender=sender,
        sender_name=sender_name,
        recipients=tuple(dict.fromkeys(address for _, address in addresses(to))),
        subject=subject,
        message_id=next(iter(_message_ids(email.first("message-id"))), None),
        in_reply_to=next(iter(in_reply_to), None),
        references=_message_ids(email.first("references")),
        date_ms=_date_ms(email.first("date")),
        text=text,
        reply_text=reply_text.cut(text, subject),
        html=shown,
        attachments=tuple(body.attachments),
        automatic=automatic or (Reason.BOUNCE if bounce else None),
        bounce=bounce,
        authentication=authentication_of(email, authserv_id),
        faults=tuple(body.faults),
    )


def _charset_of(email: Part) -> str | None:
    """Return a charset that the email declares, for its parts that declare none."""
    named = [part.parameter("charset") for part in email.walk() if part.media_type.startswith("text/")]
    for name in ("subject", "from"):
        match = _WORD_CHARSET.search((email.first(name) or b"")[:1_000])
        named.append(match[1].decode("ascii") if match else None)
    return next((each for each in named if decoding.is_specific(each)), None)


def _message_ids(value: bytes | None) -> tuple[str, ...]:
    """Return the message ids in a field; ids of more than 500 characters are ignored."""
    said = decoding.header(value).replace("><", "> <").split()
    ids = [each for each in said if each.startswith("<") and each.endswith(">") and len(each) > 2]
    return tuple(each for each in ids[-REFERENCES_MAX:] if len(each) <= _MESSAGE_ID_MAX_CHARACTERS)


def _date_ms(value: bytes | None) -> int | None:
    try:
        moment = parsedate_to_datetime(decoding.header(value)[:100])
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
