"""Parse address fields such as From (RFC 5322, section 3.4), including malformed ones.

If a field is ambiguous, all addresses that it may contain are returned: the sender is never guessed.
"""

import re
from collections.abc import Iterator
from itertools import islice

from shopbell.email import decoding
from shopbell.formats.identities import normal_email

ADDRESSES_MAX = 100
_FIELDS_MAX = 10
_PIECES_MAX = 300
_FIELD_MAX_BYTES = 8_192

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?!@)')
_QUOTED_LOCAL = re.compile(r'"([A-Za-z0-9!#$%&\'*+/=?^_`{|}~.-]{1,64})"@')
_ESCAPE = re.compile(r"\\(.)")
_ADDRESS = re.compile(r"(?:mailto:|smtp:)?([^\s<>()\[\],;:\"@]{1,64}@[^\s<>()\[\],;:\"@]{1,253})", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
_GROUP = re.compile(r"[^<>@\":]{1,200}:(?!//)")


def addresses(values: list[bytes], charset: str | None = None) -> list[tuple[str, str]]:
    """Parse the addresses in the values of one or more fields.

    Args:
        values: the raw values.
        charset: the charset of names that are neither encoded nor UTF-8.

    Returns:
        Up to 100 pairs of name ("" if there is none) and normalized address. Invalid addresses are left out.
    """
    pairs: list[tuple[str, str]] = []
    for value in values[:_FIELDS_MAX]:
        text = value[:_FIELD_MAX_BYTES].decode("utf-8", "surrogateescape")
        found = list(_pairs(text, charset))
        if not found and "@" not in text:  # some email programs encode the address as well
            found = list(_pairs(decoding.header(value[:_FIELD_MAX_BYTES], charset), charset))
        pairs += found
    return pairs[:ADDRESSES_MAX]


def _pairs(text: str, charset: str | None) -> Iterator[tuple[str, str]]:
    names: list[str] = []  # the text before each comma in a name that should have been quoted
    for piece in islice(_pieces(text), _PIECES_MAX):
        name, found = _read(piece)
        if not found:
            names.append(name)
            continue
        name = ", ".join(filter(None, (*names, name)))
        names = []
        for address in found:
            yield _shown(name, charset), address


def _shown(name: str, charset: str | None) -> str:
    return decoding.header(name.encode("utf-8", "surrogateescape"), charset)


def _pieces(text: str) -> Iterator[str]:
    """Split a field at the commas and semicolons that separate addresses."""
    is_balanced = text.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 0
    begin = 0
    depth = 0
    is_quoted = is_escaped = is_angle = False
    for place, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == '"' and is_balanced:
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character == "(":
            depth += 1
        elif character == ")":
            depth = max(0, depth - 1)
        elif character in "<>":
            is_angle = character == "<"
        elif character in ",;" and not is_angle and (not depth or ")" not in text[place:]):
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _read(piece: str) -> tuple[str, list[str]]:
    """Return the name in a piece and every address that it may contain."""
    piece = _QUOTED_LOCAL.sub(r"\1@", piece)
    bare, comment = _without_comments(piece)
    group = _GROUP.match(bare)
    if group is not None and not bare[: group.end()].strip().lower().endswith(("mailto:", "smtp:")):
        bare = bare[group.end() :]
    unquoted = _QUOTED.sub(lambda match: " " * len(match[0]), bare)
    opening = unquoted.find("<")
    if opening >= 0:
        said = unquoted[opening:]
        found = _distinct(said) or _distinct(_BLANKS.sub("", said))
        name = bare[:opening]
    else:
        found = _distinct(unquoted) or _distinct(bare)
        name = _ADDRESS.sub(" ", unquoted) if found and not _QUOTED.search(bare) else bare
    name = _QUOTED.sub(lambda match: _ESCAPE.sub(r"\1", match[1]), name).strip(" \t'\"<>[]")
    if found and _ADDRESS.fullmatch(name):
        name = ""
    return name or comment, found


def _distinct(text: str) -> list[str]:
    found = []
    for match in _ADDRESS.finditer(text):
        try:
            found.append(normal_email(match[1].strip(".'")))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def _without_comments(text: str) -> tuple[str, str]:
    """Return a text without its comments, and the text of the comments."""
    if "(" not in text:
        return text, ""
    kept: list[str] = []
    said: list[str] = []
    depth = 0
    is_quoted = is_escaped = False
    for character in text:
        if not is_escaped and character == '"' and not depth:
            is_quoted = not is_quoted
        is_special = character in "()" and not is_escaped and not is_quoted
        is_escaped = character == "\\" and not is_escaped
        if is_special:
            depth = depth + 1 if character == "(" else max(0, depth - 1)
        elif depth:
            said.append(character)
        else:
            kept.append(character)
    if depth:  # an unclosed parenthesis is not a comment
        return text, ""
    return "".join(kept), "".join(said).strip()
