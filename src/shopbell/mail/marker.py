"""The line above what our mails quote: an answer ends where it stands, in whatever language it is."""

import re

from shopbell.texts import msgid

OPENING = "##-"
CLOSING = "-##"
LINE = msgid("Please reply above this line")
"""What stands between the signs, as a msgid of the catalogs."""

# Mail programs break lines, put signs of quotation before them, and may make the spaces unbreakable.
MARKER = re.compile(rf"^[^\S\n]*(?:[>|][>|\s]*)?{OPENING}\s[^#]{{1,200}}?\s{CLOSING}", re.MULTILINE)
"""Finds the line in the text of an answer; what is before the match was written by whoever answers."""


def marker(line: str) -> str:
    """The whole line.

    Args:
        line: ``LINE`` in the reader's language.
    """
    return f"{OPENING} {line} {CLOSING}"
