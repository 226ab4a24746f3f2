"""The HTML of a mail: what of it may be shown, and its words as plain text; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

import nh3

MAX_CHARACTERS = 1_000_000
TAGS_MAX = 10_000
"""What comes after so many is left out: the time to clean tags within each other grows with the square of their number
(10,000 take 0.7 s, 100,000 a minute)."""

_TAG = re.compile(r"<[a-zA-Z]")
_BLOCKS = frozenset(("p", "div", "ul", "ol", "table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "dl"))
_LINES = frozenset(("li", "tr", "dt", "dd", "hr", "br", "caption"))
_SHOWN = _BLOCKS | _LINES | frozenset(("span", "b", "i", "u", "s", "strong", "em", "a", "sub", "sup", "code", "tbody"))
_CELLS = frozenset(("td", "th", "thead", "tfoot"))
_NEVER = frozenset(("script", "style", "title", "head", "template", "object", "iframe", "noscript", "svg", "math"))
_PARAGRAPHS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre"))
_SPACES = re.compile(r"[ \t\n\r\f]+")
_MANY_EMPTY = re.compile(r"\n{3,}")
_MARKS_MAX = 10
_DIRECTIONS = {"dir": {"rtl", "ltr", "auto"}}


@dataclass(frozen=True, slots=True)
class Cleaned:
    """HTML that may be shown.

    Args:
        html: well formed.
        tags: how many the source had, as far as it was looked at.
        is_whole: whether all of the source was looked at.
    """

    html: str
    tags: int
    is_whole: bool


def clean(source: str, tags_max: int = TAGS_MAX) -> Cleaned:
    """What of a mail's HTML may be shown to an employee: words, lists, tables and links; no script, no style, no image
    (each would tell its sender who reads the mail and when), no form, nothing that is loaded.

    Args:
        source: any text; of what is too long only the beginning is looked at.
        tags_max: after how many tags it is too long.
    """
    kept = source[:MAX_CHARACTERS]
    tags = 0
    for tag in _TAG.finditer(kept):
        if tags == tags_max:
            kept = kept[: tag.start()]
            break
        tags += 1
    cleaned = nh3.clean(
        kept,
        tags=set(_SHOWN | _CELLS),
        clean_content_tags=set(_NEVER),
        attributes={"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}},
        tag_attribute_values=dict.fromkeys(("p", "div", "span", "blockquote", "td", "li"), _DIRECTIONS),
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer nofollow",
    )
    return Cleaned(cleaned, tags, len(kept) == len(source))


def to_text(cleaned: str) -> str:
    """The words of cleaned HTML: quotes begin with ``> `` as in plain mails, lists with ``- ``; links keep their
    address where it is not what they say.

    Args:
        cleaned: what ``clean`` made.
    """
    reader = _Reader()
    reader.feed(cleaned)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._depth = 0
        self._preformatted = 0
        self._links: list[tuple[str, int]] = []
        self._has_words = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "blockquote":
            self._end_line()
            self._depth += 1
        elif tag == "br":
            self._break()
        elif tag in _BLOCKS or tag in _LINES:
            self._end_line()
            if tag in _PARAGRAPHS:
                self._empty_line()
            if tag == "li":
                self._line.append("- ")
            elif tag == "hr":
                self._break("________________________________")
        elif tag in ("td", "th") and self._has_words:
            self._line.append("\t")
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self._line)))
        if tag == "pre":
            self._preformatted += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        elif tag in _BLOCKS or tag in _LINES:
            self._end_line()
            if tag in _PARAGRAPHS:
                self._empty_line()
        if tag == "blockquote":
            self._depth = max(0, self._depth - 1)
        elif tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)

    def handle_data(self, data: str) -> None:
        first, *others = data.split("\n") if self._preformatted else [_SPACES.sub(" ", data)]
        self._say(first)
        for other in others:
            self._break()
            self._say(other)

    def _say(self, words: str) -> None:
        self._line.append(words)
        self._has_words = self._has_words or bool(words and not words.isspace())

    def text(self) -> str:
        self._end_line()
        return _MANY_EMPTY.sub("\n\n", "\n".join(self._lines)).strip("\n")

    def _end_link(self, address: str, begin: int) -> None:
        said = "".join(self._line[begin:]).strip()
        said_address = said.removeprefix("http://").removeprefix("https://").rstrip("/")
        bare = address.removeprefix("http://").removeprefix("https://").rstrip("/")
        if said and bare != address.rstrip("/") and bare != said_address:  # mailto: and tel: say what they are
            self._line.append(f" <{address}>")

    def _end_line(self) -> None:
        if self._has_words:
            self._break()
        else:
            self._line.clear()

    def _break(self, said: str | None = None) -> None:
        line = said or "".join(self._line).replace("\xa0", " ")
        line = line.rstrip() if self._preformatted else "\t".join(cell.strip(" ") for cell in line.split("\t")).strip()
        self._lines.append((self._marks() + " " + line).strip() if self._depth else line)
        self._line.clear()
        self._has_words = False
        self._links.clear()

    def _empty_line(self) -> None:
        if self._lines and self._lines[-1].strip("> "):
            self._lines.append(self._marks())

    def _marks(self) -> str:
        return ">" * min(self._depth, _MARKS_MAX)
