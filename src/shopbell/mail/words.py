"""The words of a mail in Unicode: charsets, encoded words in headers (RFC 2047), addresses; pure, and never raises."""

import binascii
import codecs
import re
from email.errors import MessageError
from email.utils import getaddresses

from shopbell.identity import normal_email
from shopbell.mail.headers import clean

ADDRESSES_MAX = 100
HEADER_MAX_CHARACTERS = 998
_ADDRESSES_MAX_BYTES = 8_192

# Those that mail is written in. Python knows others that take quadratic time (idna, punycode) or are no charsets.
_CHARSETS = re.compile(
    r"utf_?(?:8|16|16_le|16_be|32)(?:_sig)?|ascii|iso8859_\d+|latin_?1|cp\d+|koi8_[rtu]|mac_\w+|tis_620|"
    r"iso2022_(?:jp|kr)\w*|shift_jis\w*|euc_(?:jp|kr|jis)\w*|gb2312|gbk|gb18030|big5\w*|hz|johab|ptcp154"
)
# Names that mean more in practice than in their standards.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso2022_jp": "iso2022_jp_ext",
    "big5": "big5hkscs",
    "utf-8": "utf_8_sig",
}
_ALIASES = {
    "windows-874": "cp874",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "iso-8859-8-i": "iso8859_8",
    "cp-850": "cp850",
}
_ENCODED_WORD = re.compile(rb"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([bBqQ])\?([^?\r\n]*)\?=")
_BETWEEN_WORDS = re.compile(rb"\s+")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def decode(content: bytes, charset: str | None) -> str:
    """Bytes as a text.

    Args:
        content: any bytes.
        charset: as the mail names it; None, unknown and wrong ones are guessed.

    Returns:
        The text with line breaks of one character and without control characters.
    """
    return tidy(_decode(content, charset))


def tidy(text: str) -> str:
    """A text with line breaks of one character and without control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", text.replace("\x0b", "\n").replace("\x0c", "\n"))


def header(value: bytes | None) -> str:
    """The words of a header field, in one line and without anything that cannot be seen; 998 characters at most."""
    return clean(_decode_words(value or b""), HEADER_MAX_CHARACTERS)


def one_line(text: str) -> str:
    """A text that came beside a field, a file's name for one, as ``header`` gives it."""
    return header(text.encode("utf-8", "replace"))


def addresses(values: list[bytes]) -> list[tuple[str, str]]:
    """The addresses of fields such as To.

    Args:
        values: of the fields.

    Returns:
        Pairs of name ("" without one) and address in normal form, 100 at most; what is no address is left out.
    """
    try:
        # Split before the words are decoded: an encoded comma separates nothing.
        found = getaddresses([value[:_ADDRESSES_MAX_BYTES].decode("utf-8", "replace") for value in values[:10]])
    except (ValueError, IndexError, AttributeError, RecursionError, MessageError):
        return []
    pairs = []
    for name, address in found[:ADDRESSES_MAX]:
        try:
            pairs.append((one_line(name), normal_email(address.strip())))
        except ValueError:
            continue
    return pairs


def _decode(content: bytes, charset: str | None) -> str:
    for each in (_known(charset), "utf_8_sig"):
        if each:
            try:
                return content.decode(each)
            except (UnicodeError, ValueError):
                pass
    # A few wrong bytes in what says that it is UTF-8 must not turn all of its letters into others.
    known = _known(charset)
    return content.decode(known if known and known not in ("cp1252", "utf_8_sig") else _likelier(content), "replace")


def _likelier(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return "utf-8" if sum(character > "\x7f" for character in text) > 3 * wrong else "cp1252"


def _known(charset: str | None) -> str | None:
    if not charset or len(charset) > 40 or not charset.isascii() or "\0" in charset:
        return None
    try:
        name = charset.strip(" '\"").lower()
        name = codecs.lookup(_ALIASES.get(name, name)).name
    except (LookupError, ValueError):
        return None
    name = _WIDER.get(name, name)
    return name if _CHARSETS.fullmatch(name.replace("-", "_")) else None


def _decode_words(value: bytes) -> str:
    """A field's value with its encoded words decoded: once, so that no word makes another."""
    said: list[str] = []
    charset: str | None = None
    pending = b""  # the bytes of words beside each other: some mailers part them in the middle of a character
    at = 0
    for word in _ENCODED_WORD.finditer(value):
        between = value[at : word.start()]
        named = word[1].decode("ascii").lower()
        if pending and (named != charset or (between and not _BETWEEN_WORDS.fullmatch(between))):
            said.append(_decode(pending, charset))
            pending = b""
            if between and not _BETWEEN_WORDS.fullmatch(between):
                said.append(_decode(between, None))
        elif not pending:
            said.append(_decode(between, None))
        charset = named
        pending += _word(word[2], word[3])
        at = word.end()
    if pending:
        said.append(_decode(pending, charset))
    said.append(_decode(value[at:], None))
    return "".join(said)


def _word(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"qQ":
        return binascii.a2b_qp(text, header=True)
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text.rstrip(b"=")) % 4))
    except binascii.Error:
        return b""
