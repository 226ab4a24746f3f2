"""Check, normalize and fold names of people, companies and templates."""

import re
import unicodedata

from shopbell.formats.identities import visible

# Letters (case-folded) that NFKD does not decompose into a plain letter and a mark.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
# Accents, and the vowel signs of Hebrew and Arabic, which people omit when they type. Other marks, such as the voicing
# marks of Japanese and the signs of Indic scripts, form other letters.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


LINE_MAX_CHARACTERS = 200
"""Maximum length of a name or title."""


def line(text: str) -> str:
    """Normalize a name or title for storage: NFC, without outer spaces.

    Raises:
        ValueError: it is blank, too long or has control characters; the message completes a sentence.
    """
    name = stored(text.strip())
    if not name:
        raise ValueError("must not be blank")
    if len(name) > LINE_MAX_CHARACTERS:
        raise ValueError(f"must have at most {LINE_MAX_CHARACTERS} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ValueError("must not contain control characters")
    return name


def stored(text: str) -> str:
    """Return a name in the stored form (NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return a name for comparison in a search: no case, no accents, single spaces."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", visible(text).casefold())
        text = _ACCENTS.sub("", apart)
        if not text.isascii():
            text = text.translate(_PLAIN)
    return " ".join(text.casefold().split())
