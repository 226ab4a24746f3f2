"""Count and save SMS segments (GSM 03.38, 3GPP TS 23.038).

SMS is billed by segment, and a single character can triple their number. Only the GSM default alphabet and its
extension table are supported: national tables work only if both the phone and the carrier support them.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shopbell.formats import graphemes

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_SIGNS = str.maketrans(
    {**dict.fromkeys("‘’", "'"), **dict.fromkeys("“”„«»", '"'), **dict.fromkeys("–—", "-"), "…": "..."}
)
# All of Unicode category Zs except the plain space and U+1680, which is a visible stroke.
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_SINGLE_UNITS = {"gsm-7": 160, "ucs-2": 70}
# Each part of a longer message has a header of six bytes: which part of which message it is.
_MULTIPART_UNITS = {"gsm-7": 153, "ucs-2": 67}


@dataclass(frozen=True, slots=True)
class Segments:
    """The encoding and the segments of a message.

    Args:
        encoding: the smallest alphabet that contains all characters of the text.
        units: the length in code units of that alphabet; some characters take two.
        count: the segments that are sent and billed, at least 1.
    """

    encoding: Literal["gsm-7", "ucs-2"]
    units: int
    count: int


def segments(text: str) -> Segments:
    """Count the segments of a message. An empty message has one."""
    encoding: Literal["gsm-7", "ucs-2"] = "gsm-7" if set(text) <= _BASIC | _EXTENSION else "ucs-2"
    units = sum(_widths(text, encoding))
    if units <= _SINGLE_UNITS[encoding]:
        return Segments(encoding, units, 1)
    count, filled = 1, 0
    for width in _widths(text, encoding):
        if filled + width > _MULTIPART_UNITS[encoding]:  # a character is never split
            count, filled = count + 1, 0
        filled += width
    return Segments(encoding, units, count)


def shortened(text: str, at_most: int, ending: str = "") -> str:
    """Cut a text at a word boundary so that it fits into a number of segments.

    Args:
        text: the whole text.
        at_most: the maximum number of segments, at least 1.
        ending: what a shortened text must end with, such as a link to the full text. It must fit on its own.

    Returns:
        The text unchanged if it fits; otherwise its beginning, three dots and the ending.
    """
    if segments(text).count <= at_most:
        return text
    places = graphemes.boundaries(text)
    low, high = 0, len(places) - 1
    while low < high:  # binary search for the longest beginning that fits
        middle = (low + high + 1) // 2
        if segments(_cut(text, places[middle]) + ending).count <= at_most:
            low = middle
        else:
            high = middle - 1
    return _cut(text, places[low]) + ending


def with_plain_spaces(text: str) -> str:
    """Write every kind of space as the plain one.

    Others, such as U+202F in a time of day, are not in the small alphabet: a single one doubles the price.
    """
    return _SPACES.sub(" ", text)


def with_plain_letters(text: str) -> str:
    """Drop the accents that the small alphabet lacks, if that saves a segment: ``ligação`` becomes ``ligacao``.

    Args:
        text: one of our own, never what a person wrote.
    """
    letters = unicodedata.normalize("NFC", text.translate(_SIGNS))
    plain = "".join(each if each in _BASIC | _EXTENSION else unicodedata.normalize("NFD", each)[0] for each in letters)
    return plain if segments(plain).count < segments(text).count else text


def _cut(text: str, length: int) -> str:
    head = text[:length]
    if not text[length : length + 1].isspace():
        words = head.rsplit(maxsplit=1)
        # Scripts without spaces, and links longer than a text, are cut where the room ends.
        if len(words) > 1 and len(words[1]) < len(head) // 2:
            head = words[0]
    return head.rstrip() + "..."


def _widths(text: str, encoding: str) -> Iterator[int]:
    if encoding == "gsm-7":
        return (2 if character in _EXTENSION else 1 for character in text)
    return (2 if ord(character) > 0xFFFF else 1 for character in text)
