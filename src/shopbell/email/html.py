"""Sanitize the HTML of an email and convert it to plain text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

import nh3

MAX_CHARACTERS = 1_000_000
TAGS_MAX = 10_000
"""The rest is cut off: the time to clean nested tags grows quadratically (10,000: 0.7 s; 100,000: a minute)."""

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
    """Sanitized HTML.

    Args:
        html: well-formed HTML.
        tags: the number of tags in the part of the source that was read.
        is_whole: whether the whole source was read.
    """

    html: str
    tags: int
    is_whole: bool


def clean(source: str, tags_max: int = TAGS_MAX) -> Cleaned:
    """Sanitize the HTML of an email so that employees can view it safely.

    Text, lists, tables and links stay. Scripts, styles, forms and everything that loads a resource are removed. Images
    are removed as well: they would tell the sender who reads the email, and when.

    Args:
        source: untrusted HTML; only the beginning of a long source is read.
        tags_max: the number of tags that are read.
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
    """Convert sanitized HTML to plain text.

    Quoted lines begin with ``> `` and list items with ``- ``. A link's URL follows its text if the two differ.

    Args:
        cleaned: the result of ``clean``.
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
        if said and bare != address.rstrip("/") and bare != said_address:  # not for mailto: and tel:
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
