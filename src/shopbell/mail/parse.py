"""A mail that came in, as what the rest of the program needs of it. Pure; it never raises, whatever the bytes are: what
is wrong with a mail is noted in ``faults`` beside what could be read."""

from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from html import escape

from shopbell.mail import html as markup
from shopbell.mail import quotes, words
from shopbell.mail.authentication_results import Authentication, authentication_of
from shopbell.mail.automatic import Reason, why_automatic
from shopbell.mail.bounces import Bounce, bounce_of
from shopbell.mail.structure import Part, parameters_of, split

TEXT_MAX_CHARACTERS = 1_000_000
ATTACHMENTS_MAX = 100
REFERENCES_MAX = 100
NAME_MAX_CHARACTERS = 255
_MESSAGE_ID_MAX_CHARACTERS = 500

_SIGNATURES = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
_EXTENSIONS = {
    "text/calendar": "invite.ics",
    "message/rfc822": "message.eml",
    "text/html": "page.html",
    "text/plain": "text.txt",
    "application/pdf": "document.pdf",
    "image/jpeg": "image.jpg",
    "image/png": "image.png",
    "image/gif": "image.gif",
    "image/webp": "image.webp",
    "image/heic": "image.heic",
}
NAMELESS = "file"


@dataclass(frozen=True, slots=True)
class MailAttachment:
    """A file in a mail.

    Args:
        name: without folders and control characters, 1 to 255 characters; what its sender chose otherwise.
        declared_type: what its sender says it is; not to be believed.
        content: its bytes.
        is_inline: whether it is shown within the text, such as the logo of a signature.
    """

    name: str
    declared_type: str
    content: bytes = field(repr=False)
    is_inline: bool = False


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


def parse(raw: bytes, *, authserv_id: str | None = None) -> IncomingMail:
    """Read a mail. It takes up to some hundred milliseconds for mails made to take long: not for the event loop.

    Args:
        raw: any bytes.
        authserv_id: the name of the receiving server in ``Authentication-Results``; without one nobody's word counts.
    """
    mail, faults = split(raw)
    body = _Body(list(faults))
    body.read(mail)
    text = body.text()
    shown = body.html()
    pairs = words.addresses(mail.all("from"))
    sender_name, sender = pairs[0] if len(pairs) == 1 else ("", None)
    if sender is None:
        body.note("the sender is missing or not one alone")
    to = [value for name in ("to", "cc", "delivered-to", "x-original-to") for value in mail.all(name)]
    in_reply_to = _message_ids(mail.first("in-reply-to"))
    subject = words.header(mail.first("subject"))
    return IncomingMail(
        sender=sender,
        sender_name=sender_name,
        recipients=tuple(dict.fromkeys(address for _, address in words.addresses(to))),
        subject=subject,
        message_id=next(iter(_message_ids(mail.first("message-id"))), None),
        in_reply_to=next(iter(in_reply_to), None),
        references=_message_ids(mail.first("references")),
        date_ms=_date_ms(mail.first("date")),
        text=text,
        reply_text=quotes.cut(text, subject),
        html=shown,
        attachments=tuple(body.attachments),
        automatic=why_automatic(mail, sender=sender),
        bounce=bounce_of(mail, text, sender=sender),
        authentication=authentication_of(mail, authserv_id),
        faults=tuple(body.faults),
    )


@dataclass(slots=True)
class _Segment:
    """A piece of the text, in one form or in both."""

    plain: str | None = None
    html: str | None = None


class _Body:
    """Text and files of a mail, gathered part by part."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        self.attachments: list[MailAttachment] = []
        self._segments: list[_Segment] = []
        self._room = TEXT_MAX_CHARACTERS
        self._tags = markup.TAGS_MAX  # of all parts together
        self._is_report = False

    def note(self, fault: str) -> None:
        """Note what is wrong, once."""
        if fault not in self.faults:
            self.faults.append(fault)

    def read(self, mail: Part) -> None:
        """Gather all of a mail."""
        self._is_report = mail.media_type == "multipart/report"
        self._segments = self._gather(mail)

    def text(self) -> str:
        """All of the words."""
        said = []
        for segment in self._segments:
            plain = segment.plain or ""
            if not plain.strip() and segment.html is not None:
                plain = markup.to_text(segment.html)
            if plain.strip():
                said.append(plain.strip("\n"))
        return "\n\n".join(said)[:TEXT_MAX_CHARACTERS]

    def html(self) -> str | None:
        """What may be shown of the HTML, plain pieces between included; None when there is none."""
        if all(segment.html is None for segment in self._segments):
            return None
        return "".join(
            segment.html
            if segment.html is not None
            else f"<div>{escape(segment.plain or '').replace(chr(10), '<br>')}</div>"
            for segment in self._segments
        )

    def _gather(self, part: Part) -> list[_Segment]:
        if part.parts:
            gathered = [segment for below in part.parts for segment in self._gather(below)]
            if part.media_type != "multipart/alternative":
                return gathered
            plains = [segment.plain for segment in gathered if segment.plain is not None]
            htmls = [segment.html for segment in gathered if segment.html is not None]
            return [_Segment("\n\n".join(plains) if plains else None, "".join(htmls) if htmls else None)]
        disposition, parameters = parameters_of(part.first("content-disposition"), "content-disposition")
        name = _name(part, dict(parameters).get("filename"))
        if part.media_type in ("text/plain", "text/html") and disposition != "attachment" and name is None:
            return [self._words(part)]
        if part.media_type in _SIGNATURES or (
            self._is_report and part.media_type.startswith(("message/", "text/rfc822"))
        ):
            return []
        if len(self.attachments) == ATTACHMENTS_MAX:
            self.note("there are too many files")
        elif content := part.content():
            self.attachments.append(
                MailAttachment(
                    name or _EXTENSIONS.get(part.media_type, NAMELESS),
                    part.media_type,
                    content,
                    is_inline=disposition != "attachment" and part.first("content-id") is not None,
                )
            )
        return []

    def _words(self, part: Part) -> _Segment:
        # A character has four bytes at most; what cannot fit is not decoded.
        text = words.decode(part.content()[: 4 * self._room], part.parameter("charset"))
        if len(text) > self._room or len(part.body) > 12 * max(self._room, 1):
            self.note("the text is too long")
        text = text[: self._room]
        self._room -= len(text)
        if part.media_type == "text/html":
            cleaned = markup.clean(text, self._tags)
            self._tags -= cleaned.tags
            if not cleaned.is_whole:
                self.note("the HTML is too long")
            return _Segment(html=cleaned.html)
        if (part.parameter("format") or "").strip().lower() == "flowed":
            text = _unflow(text, delete_space=(part.parameter("delsp") or "").strip().lower() == "yes")
        return _Segment(plain=text)


def _name(part: Part, filename: str | None) -> str | None:
    said = filename or part.parameter("name")
    if said is None:
        return None
    last = words.one_line(said[:2_000]).replace("\\", "/").rpartition("/")[2].strip(" .")
    if len(last) > NAME_MAX_CHARACTERS:
        stem, dot, extension = last.rpartition(".")
        room = NAME_MAX_CHARACTERS - len(extension) - 1
        last = stem[:room] + dot + extension if stem and room > NAME_MAX_CHARACTERS // 2 else last[:NAME_MAX_CHARACTERS]
    return last or NAMELESS


def _unflow(text: str, *, delete_space: bool) -> str:
    """Lines joined again that a mail program has broken (RFC 3676)."""
    lines: list[str] = []
    open_depth: int | None = None
    pieces: list[str] = []
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        is_flowed = content.endswith(" ") and content != "-- "
        if open_depth == depth and content != "-- ":
            pieces.append(content)
        else:
            _end(lines, pieces, open_depth)
            pieces = [content]
        if is_flowed and delete_space:
            pieces[-1] = content[:-1]
        open_depth = depth if is_flowed else None
        if not is_flowed:
            _end(lines, pieces, depth)
            pieces = []
    _end(lines, pieces, open_depth)
    return "\n".join(lines)


def _end(lines: list[str], pieces: list[str], depth: int | None) -> None:
    if pieces:
        lines.append(f"{'>' * depth} {''.join(pieces)}" if depth else "".join(pieces))


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
