"""A mail that came in, as what the rest of the program needs of it. Pure; it never raises, whatever the bytes are: what
is wrong with a mail is noted in ``faults`` beside what could be read."""

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from shopbell.mail import quotes, words
from shopbell.mail.address_lists import addresses
from shopbell.mail.authentication_results import Authentication, authentication_of
from shopbell.mail.automatic import Reason, why_automatic
from shopbell.mail.bodies import Body, MailAttachment
from shopbell.mail.bounces import Bounce, bounce_of
from shopbell.mail.structure import Part, split

REFERENCES_MAX = 100
_MESSAGE_ID_MAX_CHARACTERS = 500
_WORD_CHARSET = re.compile(rb"=\?([A-Za-z0-9_.:+-]{1,40})[?*]")


@dataclass(frozen=True, slots=True)
class IncomingMail:
    """A mail that came in. Whatever it says of its sender is a claim: only ``authentication`` can prove it.

    Args:
        sender: the address in From, in normal form; None unless there is exactly one.
        sender_name: the name beside it; it may be empty.
        recipients: the addresses in To, Cc, Delivered-To and X-Original-To, in normal form.
        subject: in one line; it may be empty.
        message_id: angle brackets included.
        in_reply_to: angle brackets included.
        references: angle brackets included, the oldest first.
        date_ms: when its sender says that it was written, Unix ms.
        text: all of its words.
        reply_text: its words without what it quotes.
        html: what of its HTML may be shown; None when it has none.
        attachments: its files, in their order.
        automatic: why it is taken for a program's; None for a person's.
        bounce: when it is a report about a mail of ours, what that says.
        authentication: what the receiving server found out about its sender; None when it says nothing.
        faults: what was wrong with it or was left out, as short phrases without a word of the mail itself.
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
    attachments: tuple[MailAttachment, ...]
    automatic: Reason | None
    bounce: Bounce | None
    authentication: Authentication | None
    faults: tuple[str, ...]

    @property
    def is_automatic(self) -> bool:
        """Whether a program wrote it: nothing may answer it by itself."""
        return self.automatic is not None


def parse(raw: bytes, *, authserv_id: str | None = None, envelope_sender: str | None = None) -> IncomingMail:
    """Read a mail. It takes up to some hundred milliseconds for mails made to take long: not for the event loop.

    Args:
        raw: any bytes.
        authserv_id: the name of the receiving server in ``Authentication-Results``; without one nobody's word counts.
        envelope_sender: as the sending server said: "" in reports and automatic answers; None when it is not known.
    """
    mail, faults = split(raw)
    charset = _charset_of(mail)
    body = Body(list(faults), charset)
    body.read(mail)
    text = body.text()
    shown = body.html()
    pairs = addresses(mail.all("from"), charset)
    sender_name, sender = pairs[0] if len({address for _, address in pairs}) == 1 else ("", None)
    if sender is None:
        body.note("the sender is missing or not one alone")
    to = [value for name in ("to", "cc", "delivered-to", "x-original-to") for value in mail.all(name)]
    bounce = bounce_of(mail, text, sender=sender, envelope_sender=envelope_sender)
    automatic = why_automatic(mail, sender=sender, envelope_sender=envelope_sender)
    in_reply_to = _message_ids(mail.first("in-reply-to"))
    subject = words.header(mail.first("subject"), charset)
    return IncomingMail(
        sender=sender,
        sender_name=sender_name,
        recipients=tuple(dict.fromkeys(address for _, address in addresses(to))),
        subject=subject,
        message_id=next(iter(_message_ids(mail.first("message-id"))), None),
        in_reply_to=next(iter(in_reply_to), None),
        references=_message_ids(mail.first("references")),
        date_ms=_date_ms(mail.first("date")),
        text=text,
        reply_text=quotes.cut(text, subject),
        html=shown,
        attachments=tuple(body.attachments),
        automatic=automatic or (Reason.BOUNCE if bounce else None),
        bounce=bounce,
        authentication=authentication_of(mail, authserv_id),
        faults=tuple(body.faults),
    )


def _charset_of(mail: Part) -> str | None:
    """A charset that a mail names, for what it writes without naming one."""
    named = [part.parameter("charset") for part in mail.walk() if part.media_type.startswith("text/")]
    for name in ("subject", "from"):
        match = _WORD_CHARSET.search((mail.first(name) or b"")[:1_000])
        named.append(match[1].decode("ascii") if match else None)
    return next((each for each in named if words.is_telling(each)), None)


def _message_ids(value: bytes | None) -> tuple[str, ...]:
    """The ids in a field; ids of hundreds of characters are nobody's."""
    said = words.header(value).replace("><", "> <").split()
    ids = [each for each in said if each.startswith("<") and each.endswith(">") and len(each) > 2]
    return tuple(each for each in ids[-REFERENCES_MAX:] if len(each) <= _MESSAGE_ID_MAX_CHARACTERS)


def _date_ms(value: bytes | None) -> int | None:
    try:
        moment = parsedate_to_datetime(words.header(value)[:100])
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
