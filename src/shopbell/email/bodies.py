"""Collect the text and the attachments from the parts of an email."""

import re
from dataclasses import dataclass, field
from html import escape

from shopbell.email import decoding, tnef, uuencode
from shopbell.email import html as markup
from shopbell.email.mime import Part, parameters_of

TEXT_MAX_CHARACTERS = 1_000_000
ATTACHMENTS_MAX = 100
NAME_MAX_CHARACTERS = 255

_NO_FILES = (
    *("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"),
    *("text/x-amp-html", "text/watch-html"),
)
_TNEF = ("application/ms-tnef", "application/vnd.ms-tnef")
_TNEF_NAMES = ("winmail.dat", "win.dat")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_META_MAX_BYTES = 2_048
_EXTENSIONS = {
    "text/calendar": "invite.ics",
    "message/rfc822": "message.eml",
    "message/delivery-status": "report.txt",
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
class EmailAttachment:
    """A file in an email.

    Args:
        name: the sender's file name without folders and control characters, 1 to 255 characters.
        declared_type: the media type that the sender declares; do not trust it.
        is_inline: whether it is shown within the text, such as the logo in a signature.
    """

    name: str
    declared_type: str
    content: bytes = field(repr=False)
    is_inline: bool = False


@dataclass(slots=True)
class _Segment:
    """A piece of the text, as plain text, HTML or both."""

    plain: str | None = None
    html: str | None = None


class Body:
    """Collects the text and the attachments of an email part by part.

    Args:
        faults: the problems found so far.
        charset: a fallback, used if the charset that a part declares is wrong.
    """

    def __init__(self, faults: list[str], charset: str | None = None) -> None:
        self.faults = faults
        self._charset = charset
        self.attachments: list[EmailAttachment] = []
        self._segments: list[_Segment] = []
        self._room = TEXT_MAX_CHARACTERS
        self._tags = markup.TAGS_MAX  # of all parts together
        self._is_report = False
        self._is_alone = False
        self._wrapped: _Segment | None = None  # the text in a winmail.dat

    def note(self, fault: str) -> None:
        """Record a problem once."""
        if fault not in self.faults:
            self.faults.append(fault)

    def read(self, email: Part) -> None:
        """Read a whole email."""
        self._is_report = email.media_type == "multipart/report"
        self._is_alone = not email.parts
        self._segments = self._gather(email)
        if self._wrapped is not None and not self.text():
            self._segments.append(self._wrapped)

    def text(self) -> str:
        """Return the text, converted from HTML where there is no plain text."""
        said = []
        for segment in self._segments:
            plain = segment.plain or ""
            if not plain.strip() and segment.html is not None:
                plain = markup.to_text(segment.html)
            if plain.strip():
                said.append(plain.strip("\n"))
        return "\n\n".join(said)[:TEXT_MAX_CHARACTERS]

    def html(self) -> str | None:
        """Return the safe HTML, including plain text between; None if there is no HTML."""
        if all(segment.html is None for segment in self._segments):
            return None
        return "".join(
            segment.html
            if segment.html is not None
            else f"<div>{escape(segment.plain or '').replace(chr(10), '<br>')}</div>"
            for segment in self._segments
        )

    def _gather(self, part: Part, *, is_alternative: bool = False) -> list[_Segment]:
        if part.parts:
            alternates = part.media_type == "multipart/alternative"
            gathered = [segment for below in part.parts for segment in self._gather(below, is_alternative=alternates)]
            if not alternates:
                return gathered
            plains = [segment.plain for segment in gathered if segment.plain is not None]
            htmls = [segment.html for segment in gathered if segment.html is not None]
            return [_Segment("\n\n".join(plains) if plains else None, "".join(htmls) if htmls else None)]
        said = part.first("content-disposition")
        disposition, parameters = parameters_of(said, "content-disposition", self._charset)
        name = self._name(part, dict(parameters).get("filename"))
        is_attached = disposition == "attachment"
        # If an email is a single text part, that part is the message, even if it has a file name.
        is_text = name is None or self._is_alone or is_alternative
        if part.media_type in ("text/plain", "text/html") and is_text and not is_attached:
            return [self._words(part)]
        if part.media_type in _NO_FILES or (
            self._is_report and part.media_type.startswith(("message/", "text/rfc822"))
        ):
            return []
        content = part.content()
        if part.media_type in _TNEF or (name or "").lower() in _TNEF_NAMES:
            wrapped = tnef.read(content)
            if wrapped is not None and (wrapped.files or wrapped.is_whole):
                self._unwrap(wrapped)
                return []
        if content or name is not None or is_attached:
            is_inline = not is_attached and part.first("content-id") is not None
            self._attach(name or _EXTENSIONS.get(part.media_type, NAMELESS), part.media_type, content, is_inline)
        return []

    def _attach(self, name: str, declared_type: str, content: bytes, is_inline: bool = False) -> None:
        if len(self.attachments) >= ATTACHMENTS_MAX:
            self.note("there are too many files")
        else:
            self.attachments.append(EmailAttachment(name, declared_type, content, is_inline=is_inline))

    def _unwrap(self, wrapped: tnef.TnefContent) -> None:
        """Add the text and files from Outlook's winmail.dat."""
        for file in wrapped.files:
            self._attach(file_name(file.name) or NAMELESS, "application/octet-stream", file.content)
        if not wrapped.is_whole:
            self.note("a winmail.dat was not whole")
        if self._wrapped is None and (wrapped.text or wrapped.html):
            plain = decoding.tidy(wrapped.text)[: self._room] if wrapped.text else None
            html = markup.clean(decoding.tidy(wrapped.html)[: self._room], self._tags).html if wrapped.html else None
            self._wrapped = _Segment(plain, html)

    def _words(self, part: Part) -> _Segment:
        content = part.content()
        if part.media_type == "text/plain" and b"begin " in content:
            content = self._without_files(content)
        # A character takes at most four bytes; do not decode more than fits.
        content = content[: 4 * self._room]
        charset = part.parameter("charset")
        if part.media_type == "text/html" and not decoding.is_known(charset):
            meta = _META_CHARSET.search(content[:_META_MAX_BYTES])
            charset = meta[1].decode("ascii") if meta else charset
        text = decoding.decode(content, charset, self._charset)
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

    def _without_files(self, content: bytes) -> bytes:
        """Remove the uuencoded files from a text and add them as attachments."""
        kept = []
        at = 0
        for file in uuencode.find(content):
            name = file_name(decoding.decode(file.name, None, self._charset))
            self._attach(name or NAMELESS, "application/octet-stream", file.content)
            kept.append(content[at : file.begin])
            at = file.end
        return b"".join((*kept, content[at:]))

    def _name(self, part: Part, filename: str | None) -> str | None:
        if filename and filename.strip():
            return file_name(filename)
        named = part.parameter("name") or ""
        if "\ufffd" in named:
            named = dict(parameters_of(part.first("content-type"), "content-type", self._charset)[1]).get("name", "")
        return file_name(named)


def file_name(said: str) -> str | None:
    """Return a file name without folders and control characters; None if it is blank.

    It has at most 255 characters.
    """
    if not said.strip():
        return None
    last = decoding.one_line(said[:2_000]).replace("\\", "/").rpartition("/")[2].strip(" .")
    if len(last) > NAME_MAX_CHARACTERS:
        stem, dot, extension = last.rpartition(".")
        room = NAME_MAX_CHARACTERS - len(extension) - 1
        last = stem[:room] + dot + extension if stem and room > NAME_MAX_CHARACTERS // 2 else last[:NAME_MAX_CHARACTERS]
    return last or NAMELESS


def _unflow(text: str, *, delete_space: bool) -> str:
    """Join the lines of format=flowed text (RFC 3676)."""
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
