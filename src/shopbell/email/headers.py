"""Create all email headers in one place, so that no name or subject can inject a header.

Python's ``email`` package is not safe for this, because it decodes encoded words in its input: CPython 3.11.7 turns
``=?UTF-8?Q?=0A?=`` in a subject into a line break, which lets an attacker add a header. This module removes every
character that ends or hides a line, encodes the whole text if it is not plain ASCII, and folds it. The result is put
into the message unchanged and is never parsed again.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.policy import Policy

import email_validator

from shopbell.formats import identities

TEXT_MAX_CHARACTERS = 200
NAME_MAX_CHARACTERS = 100
TOKEN_MAX_CHARACTERS = 900
LINE_CHARACTERS = 76

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}", re.ASCII)
_TOKEN = re.compile(rf"[!-~]{{1,{TOKEN_MAX_CHARACTERS}}}", re.ASCII)
_PLAIN = re.compile(r"[ -~]*", re.ASCII)
_PHRASE = re.compile(r"(?!.*=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*", re.ASCII)  # RFC 5322, atext and spaces
_QUOTABLE = re.compile(r"[A-Za-z0-9!#$&'*+/_ .,()-]{1,60}", re.ASCII)
# 64 characters when encoded: with a header name of 11, lines stay within 76 characters (RFC 2047, section 2).
_ENCODED_WORD_BYTES = 39

# Emoji and Persian need joiners; the flags of England and Scotland end with tag characters.
_KEPT_FORMATS = frozenset({0x200C, 0x200D, *range(0xE0020, 0xE0080)})
_DROPPED = ("Cf", "Cs")
_SPACES = ("Cc", "Zl", "Zp", "Zs")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with a display name.

    Args:
        address: created by ``mailbox()``.
        name: the unmodified name of a person or a business; may be empty.
    """

    address: Address
    name: str = ""

    @property
    def is_ascii(self) -> bool:
        """Whether every email server can handle this address."""
        return self.address.addr_spec.isascii()


class Token(str):
    """A header value that is not encoded: an id, a keyword, a URL in angle brackets.

    Raises:
        ValueError: it is not 1 to 900 visible ASCII characters.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> "Token":
        if not _TOKEN.fullmatch(text):
            raise ValueError("must be 1 to 900 visible ASCII characters")
        return super().__new__(cls, text)


class Header(str):
    """A complete header. As a string, it is the decoded text.

    The ``email`` package takes a value with ``name`` and ``fold`` unchanged.
    """

    name: str
    lines: tuple[str, ...]
    __slots__ = ("lines", "name")

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        return policy.linesep.join(self.lines) + policy.linesep


def clean(text: str, max_characters: int = TEXT_MAX_CHARACTERS) -> str:
    """Return a text as one line without invisible characters.

    Line breaks, control characters and NUL become spaces, and runs of spaces become one space. Invisible characters,
    including direction marks, and lone surrogates are removed. A text that is too long ends with an ellipsis.
    """
    kept = []
    for character in text[: 20 * max_characters]:
        category = unicodedata.category(character)
        if category in _SPACES:
            kept.append(" ")
        elif category not in _DROPPED or ord(character) in _KEPT_FORMATS:
            kept.append(character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= max_characters else line[: max_characters - 1].rstrip() + "…"


def mailbox(address: str, name: str = "") -> Mailbox:
    """Validate an address for headers and envelopes; its domain becomes ASCII.

    Args:
        address: at most 254 characters. Its domain is not looked up.
        name: the display name.

    Raises:
        ValueError: the syntax of the address is invalid.
    """
    identities.normal_email(address)  # the same rules as for input, including the length
    parts = email_validator.validate_email(address, check_deliverability=False, strict=True)
    return Mailbox(Address(username=parts.local_part, domain=parts.ascii_domain or ""), name)


def header(name: str, *parts: str | Mailbox | Token) -> Header:
    """Create a header. No other code creates headers.

    Args:
        name: the header's name.
        parts: its value, in this order. Texts are cleaned, and encoded if necessary; tokens and addresses of mailboxes
            are not changed.

    Raises:
        ValueError: the name is invalid, or the value is empty.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("must be the name of a header")
    read, words = [], []
    for part in parts:
        if isinstance(part, Token):
            read.append(str(part))
            words.append(str(part))
        elif isinstance(part, Mailbox):
            display_name = clean(part.name, NAME_MAX_CHARACTERS)
            read.append(str(Address(display_name, part.address.username, part.address.domain)))
            words += [*_phrase(display_name), f"<{part.address.addr_spec}>"]
        else:
            text = clean(part)
            read.append(text)
            words += _encoded(text) if _must_be_encoded(text) else text.split(" ")
    words = [word for word in words if word]
    if not words:
        raise ValueError("must hold something")
    made = Header(" ".join(read))
    made.name = name
    made.lines = tuple(_folded(name, words))
    return made


def _phrase(name: str) -> Sequence[str]:
    """Return a display name as words (RFC 5322, section 3.2.5).

    Only short names with ordinary punctuation are quoted, on one line: parsers disagree about escapes, folding and
    angle brackets in quoted strings.
    """
    if _PHRASE.fullmatch(name):
        return name.split(" ")
    return [f'"{name}"'] if _QUOTABLE.fullmatch(name) else list(_encoded(name))


def _must_be_encoded(text: str) -> bool:
    """Return whether a text is not plain ASCII, or could be read as an encoded word."""
    return _PLAIN.fullmatch(text) is None or "=?" in text


def _encoded(text: str) -> Iterator[str]:
    """Yield encoded words that never split a character (RFC 2047)."""
    chunk = b""
    for character in text:
        more = character.encode()
        if len(chunk) + len(more) > _ENCODED_WORD_BYTES:
            yield _encoded_word(chunk)
            chunk = b""
        chunk += more
    yield _encoded_word(chunk)


def _encoded_word(chunk: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(chunk).decode('ascii')}?="


def _folded(name: str, words: Sequence[str]) -> Iterator[str]:
    line = f"{name}:"
    for place, word in enumerate(words):
        # The first word stays on the line of the name: old programs cannot read an empty first line.
        if place and len(line) + 1 + len(word) > LINE_CHARACTERS:
            yield line
            line = ""
        line += f" {word}"
    yield line
