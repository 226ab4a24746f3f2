"""The line above the quoted text in our emails: a reply ends there, in any language."""

import re

from shopbell.i18n.translations import msgid

OPENING = "##-"
CLOSING = "-##"
LINE = msgid("Please reply above this line")
"""The text between ``OPENING`` and ``CLOSING``, as a msgid of the catalogs."""

# Email programs wrap lines, add quote characters, and may replace spaces by no-break spaces.
MARKER = re.compile(rf"^[^\S\n]*(?:[>|][>|\s]*)?{OPENING}\s[^#]{{1,200}}?\s{CLOSING}", re.MULTILINE)
"""Matches the line in the text of a reply. The text before the match is the reply itself."""


def marker(line: str) -> str:
    """Return the complete line.

    Args:
        line: ``LINE`` in the reader's language.
    """
    return f"{OPENING} {line} {CLOSING}"
