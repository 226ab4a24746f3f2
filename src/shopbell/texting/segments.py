"""What a text costs: SMS is billed by segment, and one character can triple their number (GSM 03.38, 3GPP TS 23.038).

Only the default alphabet and its extension are counted with: national tables need phones and carriers that agree.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shopbell import graphemes

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
# All of the category Zs but the plain space and U+1680, which is a visible stroke.
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_ALONE = {"gsm-7": 160, "ucs-2": 70}
# Six bytes of each part say which part of which text it is.
_TOGETHER = {"gsm-7": 153, "ucs-2": 67}


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text goes out.

    Args:
        encoding: the alphabet that has all of its characters.
        units: its length in characters of that alphabet; some characters count twice.
        count: the parts that it is sent and billed as, from 1.
    """

    encoding: Literal["gsm-7", "ucs-2"]
    units: int
    count: int


def segments(text: str) -> Segments:
    """Count the parts of a text.

    Args:
        text: all of it; an empty one is sent, too.
    """
    encoding: Literal["gsm-7", "ucs-2"] = "gsm-7" if set(text) <= _BASIC | _EXTENSION else "ucs-2"
    units = sum(_widths(text, encoding))
    if units <= _ALONE[encoding]:
        return Segments(encoding, units, 1)
    count, filled = 1, 0
    for width in _widths(text, encoding):
        if filled + width > _TOGETHER[encoding]:  # no character is cut in two
            count, filled = count + 1, 0
        filled += width
    return Segments(encoding, units, count)


def shortened(text: str, at_most: int, ending: str = "") -> str:
    """Cut a text at a word so that it fits.

    Args:
        text: all of it.
        at_most: the most segments, from 1.
        ending: what must stand at the end of a text that was cut, such as a link to the whole; it fits by itself.

    Returns:
        The text itself where it fits, else its beginning, three dots and the ending.
    """
    if segments(text).count <= at_most:
        return text
    places = graphemes.boundaries(text)
    low, high = 0, len(places) - 1
    while low < high:  # the longest beginning that fits
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
