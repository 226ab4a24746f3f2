"""Attacks that run a script in a reader's browser.

Each is text for a message, a name, a subject or a file. Each payload is made for a ``Place``. A naive page that does
not escape it there runs it, which proves that it is harmful. A payload that runs calls ``fired(number)`` or sends a
request to ``CANARY``.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CANARY = "canary.invalid"
TEXTS = Path(__file__).with_suffix(".txt")

HIDDEN = "\u200b\u200d\u2060\ufeff\u00ad"
FULL_WIDTH = str.maketrans("<>\"'", "＜＞＂＇")
RTL = "\u202e"


class Place(StrEnum):
    """The place where a naive page inserts a payload."""

    HTML = "html"
    ATTRIBUTE = "attribute"
    UNQUOTED = "unquoted attribute"
    SCRIPT = "string of a script"
    TEMPLATE = "template of a script"
    ADDRESS = "address of a link"
    TITLE = "title"
    COMMENT = "comment"
    STYLE = "style"
    JSON = "data of a page"
    INNER = "innerHTML"
    TWICE = "decoded twice"
    MARKDOWN = "markdown"
    NOWHERE = "no browser's place"


NAIVE = {
    Place.HTML: "<p>{}</p>",
    Place.ATTRIBUTE: "<p title=\"{}\" lang='{}'>x</p>",
    Place.UNQUOTED: "<p title={}>x</p>",
    Place.SCRIPT: "<script>var one = \"{}\"</script><script>var two = '{}'</script>",
    Place.TEMPLATE: "<script>var one = `{}`</script>",
    Place.ADDRESS: '<a href="{}">link</a>',
    Place.TITLE: "<title>{}</title>",
    Place.COMMENT: "<!-- {} -->",
    Place.STYLE: "<style>p::after {{ content: '{}' }}</style><p>x</p>",
    Place.JSON: '<script type="application/json">{{"text": "{}"}}</script>',
    Place.INNER: "<div id=in></div><script>document.getElementById('in').innerHTML = {json}</script>",
    Place.TWICE: "<div id=in></div><script>const t = document.createElement('textarea'); t.innerHTML = {json};"
    "document.getElementById('in').innerHTML = t.value</script>",
    Place.MARKDOWN: "<div id=in></div><script>document.getElementById('in').innerHTML = {json}"
    ".replace(/!?\\[([^\\]]*)\\]\\((\\S+)\\)/g, '<a href=\"$2\">$1</a>')"
    ".replace(/<((?:javascript|data):[^>]*)>/g, '<a href=\"$1\">$1</a>')</script>",
    Place.NOWHERE: "<p>{}</p>",
}
"""What a page is made of that escapes nothing; ``{json}`` is the payload as a string of a script."""


@dataclass(frozen=True)
class Payload:
    """One attack. It calls ``fired`` with its ``number``."""

    number: int
    place: Place
    text: str

    @property
    def line(self) -> str:
        """The payload as one line of at most 200 characters, for names and subjects."""
        return "".join(each for each in self.text if each >= " " and each != "\x7f")[:200].strip() or "x"

    @property
    def word(self) -> str:
        """The payload as one word.

        Customers see only the first name of an employee.
        """
        return "/".join(self.line.split())


def payloads() -> list[Payload]:
    """All different payloads, always in the same order."""
    return [Payload(number, place, _filled(text, number)) for number, (place, text) in enumerate(_all())]


def naive_page(payload: Payload) -> str:
    """A page that shows the payload in its place without escaping it."""
    script = "".join(f"\\u{ord(each):04x}" if each in "<>&'\"\\\u2028\u2029\n\r" else each for each in payload.text)
    body = NAIVE[payload.place].replace("{{", "{").replace("}}", "}").replace("{json}", f'"{script}"')
    return f"<!doctype html><meta charset=utf-8><body>{body.replace('{}', payload.text)}"


def _all() -> Iterator[tuple[Place, str]]:
    places, place = {each.value for each in Place}, Place.HTML
    for line in TEXTS.read_text().split("\n"):
        if line.startswith("[") and line.endswith("]") and line[1:-1] in places:
            place = Place(line[1:-1])
        elif line:
            yield place, line


def _filled(text: str, number: int) -> str:
    script = f"fired({number})"
    page = f"<script>{script}</script>"
    values = {
        "%JS%": script,
        "%N%": str(number),
        "%CANARY%": f"{CANARY}/{number}",
        "%ENT%": "".join(f"&#{ord(each)};" for each in script),
        "%B64%": base64.b64encode(page.encode()).decode(),
        "%B64JS%": base64.b64encode(script.encode()).decode(),
        "%WIDE%": page.translate(FULL_WIDTH),
        "%RTL%": RTL,
        "%HID%": HIDDEN,
        "%NL%": "\n",
        "%TAB%": "\t",
        "%FF%": "\f",
        "%SOH%": "\x01",
        "%LS%": "\u2028",
        "%C0%": "\ufffd",
    }
    for name, value in values.items():
        text = text.replace(name, value)
    return text
