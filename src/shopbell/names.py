"""Names of people and companies: how they are stored, and how they are compared in a search."""

import re
import unicodedata

from shopbell.identity import visible

# Letters that do not come apart into a plain one and a mark, as they are after folding their case.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
# Accents, and the vowels of Hebrew and Arabic, which people leave out when they type. Other marks, such as the voicing
# marks of Japanese and the signs of Indian scripts, make another letter.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def stored(text: str) -> str:
    """A name in the one form in which it is stored (NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """A name as a search compares it: without case, without accents, with single spaces."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", visible(text).casefold())
        text = _ACCENTS.sub("", apart)
        if not text.isascii():
            text = text.translate(_PLAIN)
    return " ".join(text.casefold().split())
