"""The one place where values of mail headers are made, so that nothing in a name or a subject becomes another header.

The interpreter's own ``email`` package is not asked to do it: it decodes encoded words in what it is given (CPython
3.11.7 turns ``=?UTF-8?Q?=0A?=`` in a subject into a line break, and so into a header of the attacker's). Here a text is
cleaned of everything that ends or hides a line, encoded whole where it is not plain ASCII, and folded; what comes out
is stored in the message as it is and never parsed again.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.policy import Policy

import email_validator

from shopbell import identity

TEXT_MAX_CHARACTERS = 200
NAME_MAX_CHARACTERS = 100
TOKEN_MAX_CHARACTERS = 900
LINE_CHARACTERS = 76

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}", re.ASCII)
_TOKEN = re.compile(rf"[!-~]{{1,{TOKEN_MAX_CHARACTERS}}}", re.ASCII)
_PLAIN = re.compile(r"[ -~]*", re.ASCII)
_PHRASE = re.compile(r"(?!.*=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*", re.ASCII)  # RFC 5322, atext and spaces
_QUOTABLE = re.compile(r"[A-Za-z0-9!#$&'*+/_ .,()-]{1,60}", re.ASCII)
_ENCODED_WORD_BYTES = 39  # 64 characters once encoded: beside a name of 11, lines stay within 76 (RFC 2047, section 2)

# Joiners shape emoji and Persian words; tag characters end the flags of England and Scotland.
_KEPT_FORMATS = frozenset({0x200C, 0x200D, *range(0xE0020, 0xE0080)})
_DROPPED = ("Cf", "Cs")
_SPACES = ("Cc", "Zl", "Zp", "Zs")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name before it.

    Args:
        address: as ``mailbox()`` returns it.
        name: of a person or a business, as they wrote it; it may be empty.
    """

    address: Address
    name: str = ""

    @property
    def is_ascii(self) -> bool:
        """Whether mail servers of any age can be told this address."""
        return self.address.addr_spec.isascii()


class Token(str):
    """What stands in a header as it is: an id, an address in angle brackets, a keyword.

    Raises:
        ValueError: it is not 1 to 900 visible ASCII characters.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> "Token":
        if not _TOKEN.fullmatch(text):
            raise ValueError("must be 1 to 900 visible ASCII characters")
        return super().__new__(cls, text)


class Header(str):
    """A finished header; as a string it is what people read. ``email`` takes what has a name and can fold as it is."""

    name: str
    lines: tuple[str, ...]
    __slots__ = ("lines", "name")

    def fold(self, *, policy: Policy) -> str:
        """The header as it is sent."""
        return policy.linesep.join(self.lines) + policy.linesep


def clean(text: str, max_characters: int = TEXT_MAX_CHARACTERS) -> str:
    """A text as one line that looks like what it is.

    Line ends of every kind, control characters and NUL become spaces; invisible characters, those that turn the
    direction of writing among them, and lone surrogates go; spaces that follow each other become one.

    Args:
        text: anything.
        max_characters: where it is cut, with an ellipsis.
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
    """An address that can stand in a header and in an envelope: one of the syntax of addresses, its domain in ASCII.

    Args:
        address: at most 254 characters; its domain is not looked up.
        name: what stands before it.

    Raises:
        ValueError: it does not have the syntax of an address.
    """
    identity.normal_email(address)  # the same rules by which it was let in, the length among them
    parts = email_validator.validate_email(address, check_deliverability=False, strict=True)
    return Mailbox(Address(username=parts.local_part, domain=parts.ascii_domain or ""), name)


def header(name: str, *parts: str | Mailbox | Token) -> Header:
    """Make a header. Nothing else in the program does.

    Args:
        name: of the header.
        parts: what it holds, in this order: texts are cleaned and encoded where needed, mailboxes and tokens stand as
            they are.

    Raises:
        ValueError: the name is not one, or nothing is in it.
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
    """A name as it stands before an address (RFC 5322, section 3.2.5).

    Between quotes stand only short names with nothing but ordinary punctuation, on one line: parsers disagree about
    escapes, folds and angle brackets there.
    """
    if _PHRASE.fullmatch(name):
        return name.split(" ")
    return [f'"{name}"'] if _QUOTABLE.fullmatch(name) else list(_encoded(name))


def _must_be_encoded(text: str) -> bool:
    """Whether it is not plain, or would be taken for something encoded."""
    return _PLAIN.fullmatch(text) is None or "=?" in text


def _encoded(text: str) -> Iterator[str]:
    """Encoded words, none of which ends within a character (RFC 2047)."""
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
        # The first word stays beside the name: programs of some age do not read an empty first line.
        if place and len(line) + 1 + len(word) > LINE_CHARACTERS:
            yield line
            line = ""
        line += f" {word}"
    yield line
