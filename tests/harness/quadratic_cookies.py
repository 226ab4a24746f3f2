"""``shopbell`` with Python's cookie parser before CVE-2024-7592 was fixed.

The control of test_header_cost.py, which must notice it, whatever version of Python runs the tests.
"""

import http.cookies
import re
import sys

from shopbell.cli import main
from shopbell.http.request import cookies

PROGRAM = (__file__,)


def unquote(text: str | None) -> str | None:
    """Unquote a value, looking from each backslash to the end of the text for the next two."""
    if text is None or len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    text = text[1:-1]
    parts, at = [], 0
    while 0 <= at < len(text):
        octal = re.compile(r"\\[0-3][0-7][0-7]").search(text, at)
        quoted = re.compile(r"[\\].").search(text, at)
        if quoted is None and octal is None:
            parts.append(text[at:])
            break
        places = [match.start(0) for match in (octal, quoted) if match is not None]
        parts += (text[at : min(places)], text[min(places) + 1])
        at = min(places) + 2
    return "".join(parts)


def parse(cookie: str) -> str | None:
    """Parse a cookie, slowly."""
    return unquote(cookie.partition("=")[2])


if __name__ == "__main__":
    cookies.hide = lambda _: None
    http.cookies._unquote = unquote  # type: ignore[attr-defined]
    sys.argv[0] = "shopbell"
    main()
