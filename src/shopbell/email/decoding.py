"""Decode charsets and encoded words in headers (RFC 2047); never raises."""

import binascii
import codecs
import re

from shopbell.email.headers import clean

HEADER_MAX_CHARACTERS = 998

# The charsets that emails use. Python has other codecs, which take quadratic time (idna, punycode) or are no charsets.
_CHARSETS = re.compile(
    r"utf_?(?:7|8|16|16_le|16_be|32)(?:_sig)?|ascii|iso8859_\d+|latin_?1|cp\d+|koi8_[rtu]|mac_\w+|tis_620|"
    r"iso2022_(?:jp|kr)\w*|shift_jis\w*|euc_(?:jp|kr|jis)\w*|gb2312|gbk|gb18030|big5\w*|hz|johab|ptcp154"
)
# Charsets that senders use for a larger charset, in practice.
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
    "unicode-1-1-utf-7": "utf-7",
    "unicode-2-0-utf-7": "utf-7",
    "x-unicode-2-0-utf-7": "utf-7",
    "x-big5": "big5",
    "x-euc-jp": "euc_jp",
    "x-euc-kr": "euc_kr",
    "x-windows-949": "cp949",
    "x-cp1250": "cp1250",
    "x-cp1251": "cp1251",
    "x-cp1252": "cp1252",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "macintosh": "mac_roman",
    "iso-8859-8-e": "iso8859_8",
    "iso-10646-ucs-2": "utf-16",
    "ucs-2": "utf-16",
    "unicode": "utf-16",
    "utf8mb4": "utf-8",
    "x-utf-8": "utf-8",
    "ansi": "cp1252",
    "gb_2312-80": "gb2312",
    "csgb2312": "gb2312",
}
_PUNCTUATED = re.compile(r"(?:x-)?(windows|win|cp|iso|koi8|utf|us)[-_ ]?(.*)")
_PLAIN = ("us-ascii", "ascii", "ansi_x3.4-1968")
_ESCAPE = b"\x1b"
# Single-byte charsets that senders declare for text that is actually UTF-8.
_ONE_BYTE = frozenset(
    (
        *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
        *("iso8859-2", "iso8859-5", "iso8859-7", "iso8859-15", "koi8-r", "koi8-u"),
    )
)
_ENCODED_WORD = re.compile(rb"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([bBqQ])\?([^?\r\n]*)\?=")
_BETWEEN_WORDS = re.compile(rb"\s+")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def decode(content: bytes, charset: str | None, hint: str | None = None) -> str:
    """Decode a text.

    Args:
        content: any bytes.
        charset: the declared charset. If it is None, unknown or wrong, the charset is guessed.
        hint: another charset that the email declares, tried if the first one is wrong.

    Returns:
        The text with ``\\n`` as line break and without control characters.
    """
    return tidy(_decode(content, charset, hint))


def tidy(text: str) -> str:
    """Normalize line breaks to ``\\n`` and remove control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", text.replace("\x0b", "\n").replace("\x0c", "\n"))


def header(value: bytes | None, charset: str | None = None) -> str:
    """Decode a header field to one line of visible text, at most 998 characters.

    Args:
        value: the raw value.
        charset: the charset of the email's text, which the field may use without declaring it.
    """
    return clean(_decode_words(value or b"", charset), HEADER_MAX_CHARACTERS)


def one_line(text: str) -> str:
    """Clean a text outside of header fields, such as a file name, like ``header``."""
    return header(text.encode("utf-8", "replace"))


def is_known(charset: str | None) -> bool:
    """Return whether a charset is one that emails use."""
    return _known(charset) is not None


def is_specific(charset: str | None) -> bool:
    """Return whether a charset is known and is neither ASCII nor UTF-8."""
    known = _known(charset)
    return known is not None and known != "utf_8_sig" and (charset or "").strip(" '\"").lower() not in _PLAIN


def _decode(content: bytes, charset: str | None, hint: str | None = None) -> str:
    if content.isascii():
        named = _known(charset) or ("cp1252" if _ESCAPE not in content else None)
        if named is None or (named in ("cp1252", "utf_8_sig") and _ESCAPE in content):
            named = "iso2022_jp_ext"
        return _or_replaced(content, named)
    known = _known(charset)
    if known is None or known in _ONE_BYTE:
        # Much text is UTF-8 but declares otherwise. Other text is hardly ever valid UTF-8 by chance.
        try:
            return content.decode("utf_8_sig")
        except UnicodeError:
            pass
    for each in (known, "utf_8_sig", _known(hint)):
        if each:
            try:
                return content.decode(each)
            except (UnicodeError, ValueError):
                pass
    # A few invalid bytes in text declared as UTF-8 must not garble all other characters.
    return content.decode(known if known and known not in ("cp1252", "utf_8_sig") else _likelier(content), "replace")


def _or_replaced(content: bytes, charset: str) -> str:
    text = content.decode(charset, "replace")
    # Only UTF-7 can encode lone surrogates.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if charset == "utf-7" else text


def _likelier(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return "utf-8" if sum(character > "\x7f" for character in text) > 3 * wrong else "cp1252"


def _known(charset: str | None) -> str | None:
    if not charset or len(charset) > 40 or not charset.isascii() or "\0" in charset:
        return None
    try:
        name = charset.strip(" '\";,=").lower()
        name = codecs.lookup(_ALIASES.get(name, name)).name
    except (LookupError, ValueError):
        punctuated = _PUNCTUATED.fullmatch(name)
        if punctuated is None:
            return None
        family = {"win": "cp", "windows": "cp"}.get(punctuated[1], punctuated[1])
        try:
            name = codecs.lookup(f"{family}{'' if family == 'cp' else '-'}{punctuated[2]}").name
        except (LookupError, ValueError):
            return None
    name = _WIDER.get(name, name)
    return name if _CHARSETS.fullmatch(name.replace("-", "_")) else None


def _decode_words(value: bytes, hint: str | None) -> str:
    """Decode encoded words, once: a decoded word cannot form another encoded word."""
    said: list[str] = []
    charset: str | None = None
    pending = b""  # adjacent words are joined first: some email programs split them within a character
    at = 0
    for word in _ENCODED_WORD.finditer(value):
        between = value[at : word.start()]
        named = word[1].decode("ascii").lower()
        if pending and (named != charset or (between and not _BETWEEN_WORDS.fullmatch(between))):
            said.append(_decode(pending, charset))
            pending = b""
            if between and not _BETWEEN_WORDS.fullmatch(between):
                said.append(_decode(between, None, hint))
        elif not pending:
            said.append(_decode(between, None, hint))
        charset = named
        pending += _word(word[2], word[3])
        at = word.end()
    if pending:
        said.append(_decode(pending, charset))
    said.append(_decode(value[at:], None, hint))
    return "".join(said)


def _word(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"qQ":
        return binascii.a2b_qp(text, header=True)
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text.rstrip(b"=")) % 4))
    except binascii.Error:
        return b""
