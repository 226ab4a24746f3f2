"""Split any email into its parts in bounded time and memory (RFC 5322, 2045, 2046).

The standard library's parser keeps each line as an object and recurses into nested parts. A hostile email of a few
megabytes makes it use gigabytes or fail. This parser only records where the parts begin and end.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.utils import collapse_rfc2231_value

from shopbell.email import decoding, uuencode

HEADER_MAX_BYTES = 262_144
"""Limit for the headers of one part; the rest is cut off."""

FIELD_MAX_BYTES = 16_384
"""Limit for one field. Only lists of hundreds of recipients are longer."""

FIELDS_MAX = 1_000
DEPTH_MAX = 20
PARTS_MAX = 500
_LINES_MAX = 50_000
"""Limit for lines that begin like a boundary, in the whole email."""

_ENCODING = re.compile(rb"[\s\"']*([a-z0-9_-]{1,40})")
_FIELD_NAME = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_FIELD_END = re.compile(rb"\r?\n(?![ \t])")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LIKELY_BOUNDARY = re.compile(rb"^--([^\r\n]{1,70}?)[ \t]*\r?$", re.MULTILINE)
_GUESS_BYTES = 65_536
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_PADDING = re.compile(rb"=+")
_PIECES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an email, or the whole email.

    Args:
        fields: the header fields in order, with lower-case names and unfolded but otherwise raw values.
        raw: the whole email, shared by all parts.
        begin: the start of this part's body in ``raw``.
        end: the end of this part's body in ``raw``.
        parts: the parts of a multipart.
    """

    fields: tuple[tuple[str, bytes], ...]
    raw: bytes = field(repr=False)
    begin: int
    end: int
    parts: tuple["Part", ...] = ()
    media_type: str = "text/plain"
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The body, still encoded."""
        return self.raw[self.begin : self.end]

    def first(self, name: str) -> bytes | None:
        """Return the first field with a name, which must be in lower case."""
        return next((value for each, value in self.fields if each == name), None)

    def all(self, name: str) -> list[bytes]:
        """Return all fields with a name, which must be in lower case, from the top."""
        return [value for each, value in self.fields if each == name]

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the Content-Type."""
        return next((value for each, value in self.parameters if each == name), None)

    def content(self) -> bytes:
        """Decode the transfer encoding; an invalid encoding is decoded as far as possible."""
        encoding = _ENCODING.match((self.first("content-transfer-encoding") or b"").lower())
        match encoding[1].replace(b"_", b"-") if encoding else b"":
            case b"base64" | b"base-64" | b"b":
                return _from_base64(self.body)
            case b"quoted-printable" | b"quotedprintable" | b"q":
                return binascii.a2b_qp(self.body)
            case b"x-uuencode" | b"uuencode" | b"x-uue" | b"uue" | b"x-uu":
                return uuencode.decode(self.body)
            case _:
                return self.body

    def walk(self) -> Iterator["Part"]:
        """Yield this part and all parts below it, in order."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.parts))


@dataclass(slots=True)
class _Budget:
    parts: int = PARTS_MAX
    lines: int = _LINES_MAX
    faults: list[str] = field(default_factory=list)

    def note(self, fault: str) -> None:
        if fault not in self.faults:
            self.faults.append(fault)


def split(raw: bytes) -> tuple[Part, tuple[str, ...]]:
    """Split an email into its parts.

    Args:
        raw: any bytes.

    Returns:
        The whole email, and the problems found, as short phrases that contain nothing from the email.
    """
    budget = _Budget()
    whole = _part(raw, 0, len(raw), budget, depth=0)
    return whole, tuple(budget.faults)


def parameters_of(
    value: bytes | None, header: str, charset: str | None = None
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Read the value and the parameters of a field such as Content-Type (RFC 2231).

    Args:
        value: the raw field; None if it is missing.
        header: its name.
        charset: the charset of a field that is neither encoded nor UTF-8.

    Returns:
        The value in lower case, "" if it is missing, and the parameters with names in lower case.
    """
    message = Message()
    field_bytes = (value or b"")[:FIELD_MAX_BYTES]
    text = decoding.decode(field_bytes, None, charset) if charset else field_bytes.decode("utf-8", "replace")
    message[header] = text.replace("\n", " ").replace("\r", " ")
    try:
        found = message.get_params(failobj=[], header=header)
        named = tuple((name.lower(), collapse_rfc2231_value(text)) for name, text in found[1:])
    except (ValueError, LookupError, TypeError, AttributeError):  # the library does not handle all malformed input
        return value.partition(b";")[0].strip().lower().decode("ascii", "replace") if value else "", ()
    return found[0][0].strip().lower() if found else "", named


def fields_of(head: bytes) -> tuple[tuple[str, bytes], ...]:
    """Split headers, or a part in the same format (RFC 3464), into fields."""
    fields: list[tuple[str, bytes]] = []
    begin = 0
    while begin < len(head) and len(fields) < FIELDS_MAX:
        ending = _FIELD_END.search(head, begin)
        line = head[begin : ending.start() if ending else len(head)]
        begin = ending.end() if ending else len(head)
        named = _FIELD_NAME.match(line)
        if named:
            value = _FOLD.sub(b"", line[named.end() : named.end() + FIELD_MAX_BYTES]).strip()
            fields.append((named[1].decode("ascii").lower(), value))
    return tuple(fields)


def _part(raw: bytes, begin: int, end: int, budget: _Budget, *, depth: int, default: str = "text/plain") -> Part:
    head, body = _head(raw, begin, end)
    fields = fields_of(head)
    declared = next((value for name, value in fields if name == "content-type"), None)
    media_type, parameters = parameters_of(declared, "content-type")
    if media_type.count("/") != 1:
        media_type = default
    parts: tuple[Part, ...] = ()
    if media_type.startswith("multipart/"):
        boundary = next((value for name, value in parameters if name == "boundary"), "").encode("utf-8", "replace")
        parts = _parts(raw, body, end, boundary.rstrip(), media_type, budget, depth + 1)
        if not parts:  # read the body as text instead
            media_type = "text/plain"
    return Part(fields, raw, body, end, parts, media_type, parameters)


def _head(raw: bytes, begin: int, end: int) -> tuple[bytes, int]:
    """Return the headers of a part, and where its body begins."""
    limit = min(end, begin + HEADER_MAX_BYTES)
    if raw[begin : begin + 5].lower() == b"from ":  # the separator line of an mbox file
        begin = min(limit, raw.find(b"\n", begin, limit) + 1 or limit)
    for blank in (b"\r\n", b"\n"):
        if raw.startswith(blank, begin, end):
            return b"", begin + len(blank)
    ending = _HEAD_END.search(raw, begin, limit)
    if ending is None and not _FIELD_NAME.match(raw, begin, limit):
        return b"", begin
    return raw[begin : ending.start() if ending else limit], ending.end() if ending else limit


def _parts(
    raw: bytes, begin: int, end: int, boundary: bytes, media_type: str, budget: _Budget, depth: int
) -> tuple[Part, ...]:
    if depth > DEPTH_MAX:
        budget.note("parts are nested too deep")
        return ()
    if not boundary:
        budget.note("a boundary is missing")
        guess = _LIKELY_BOUNDARY.search(raw, begin, min(end, begin + _GUESS_BYTES))
        boundary = guess[1] if guess else b""
    if not boundary:
        return ()
    default = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
    parts = []
    for part_begin, part_end in _spans(raw, begin, end, b"--" + boundary, budget):
        if budget.parts == 0:
            budget.note("there are too many parts")
            break
        budget.parts -= 1
        parts.append(_part(raw, part_begin, part_end, budget, depth=depth, default=default))
    if not parts:
        budget.note("a multipart has no parts")
    return tuple(parts)


def _spans(raw: bytes, begin: int, end: int, delimiter: bytes, budget: _Budget) -> Iterator[tuple[int, int]]:
    """Yield the begin and end of each part; the last boundary may be missing."""
    part_begin: int | None = None
    at = begin if raw.startswith(delimiter, begin, end) else _next_line(raw, delimiter, begin, end)
    while at >= 0:
        if budget.lines == 0:
            budget.note("there are too many lines like a boundary")
            break
        budget.lines -= 1
        after = at + len(delimiter)
        line_end = raw.find(b"\n", after, min(end, after + 100))
        rest = raw[after : line_end if line_end >= 0 else min(end, after + 100)].strip()
        if rest in (b"", b"--"):
            if part_begin is not None:
                yield part_begin, max(part_begin, _line_before(raw, at))
            if rest:
                return
            part_begin = line_end + 1 if line_end >= 0 else end
        at = _next_line(raw, delimiter, after, end)
    if part_begin is not None:
        budget.note("the last boundary is missing")
        yield part_begin, end


def _next_line(raw: bytes, delimiter: bytes, begin: int, end: int) -> int:
    # Start one byte earlier: it may be the line break of the boundary itself.
    found = raw.find(b"\n" + delimiter, max(begin - 1, 0), end)
    return found + 1 if found >= 0 else -1


def _line_before(raw: bytes, at: int) -> int:
    """Return the end of the text before a boundary, which owns the preceding line break."""
    at -= 1
    return at - 1 if at > 0 and raw[at - 1 : at] == b"\r" else at


def _from_base64(body: bytes) -> bytes:
    # Text that was concatenated from pieces also has padding in the middle.
    pieces = _PADDING.split(body.translate(None, _NOT_BASE64), _PIECES_MAX)
    return b"".join(_from_digits(piece.replace(b"=", b"")) for piece in pieces)


def _from_digits(digits: bytes) -> bytes:
    if len(digits) % 4 == 1:  # an impossible length: drop the last digit
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
