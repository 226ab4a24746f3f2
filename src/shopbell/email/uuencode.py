"""Decode uuencoded files, as emails contained them before MIME, in linear time.

The format is "begin 644 name", lines of 45 bytes each, and "end".
"""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

FILES_MAX = 100
_BEGIN = re.compile(rb"^begin [0-7]{3,4} (.{1,300}?)[ \t]*\r?$", re.MULTILINE)
_LINE_MAX_BYTES = 100


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A uuencoded file in a text.

    Args:
        name: the sender's file name.
        begin: the start of its first line in the text.
        end: the start of the text that follows.
    """

    name: bytes
    content: bytes = field(repr=False)
    begin: int
    end: int


def decode(body: bytes) -> bytes:
    """Decode the first file in a body; return the body unchanged if there is none."""
    files = find(body)
    return files[0].content if files else body


def find(body: bytes) -> Sequence[EncodedFile]:
    """Find the files in a text, in order; one with a malformed line is ignored."""
    files: list[EncodedFile] = []
    at = 0
    while len(files) < FILES_MAX and (opening := _BEGIN.search(body, at)) is not None:
        at = opening.end() + 1
        found = _lines(body, at)
        if found is not None:
            content, at = found
            files.append(EncodedFile(opening[1], content, opening.start(), at))
    return files


def _lines(body: bytes, at: int) -> tuple[bytes, int] | None:
    """Decode the lines up to "end"; None if one is malformed.

    Returns:
        The bytes, and the position after "end".
    """
    pieces: list[bytes] = []
    while at < len(body):
        line_end = body.find(b"\n", at, at + _LINE_MAX_BYTES)
        if line_end < 0 and len(body) - at > _LINE_MAX_BYTES:
            return None
        line = body[at : line_end if line_end >= 0 else len(body)].rstrip(b"\r")
        at = line_end + 1 if line_end >= 0 else len(body)
        if line.rstrip() == b"end":
            return b"".join(pieces), at
        if not line.strip():
            continue
        length = (line[0] - 32) & 63
        if not 32 <= line[0] <= 96 or len(line) > 4 * ((length + 2) // 3) + 3:
            return None
        try:
            pieces.append(binascii.a2b_uu(line[: 4 * ((length + 2) // 3) + 1]))
        except binascii.Error:
            return None
    return None
