"""The commands of the documentation: what a page tells its readers to run, and what it says that they will see.

Comments before a block say what the test cannot see:

- ``<!-- not run: it needs root -->``: the test leaves the block out.
- ``<!-- runs on: listening -->``: its command runs until it is stopped. The next block starts after it has printed the
  word.
- ``<!-- after Ctrl-C: shopbell serve -->``: the reader has stopped that command before.

A block after a line that ends in "as `NAME`:" is written to that file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!-- (not run|runs on|after Ctrl-C): ((?:(?!-->).)+) -->\s*\Z", re.DOTALL)
_FIELDS = {"not run": "not_run", "runs on": "ready", "after Ctrl-C": "stopped"}
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_FILE = re.compile(r"\bas `([\w.-]+)`:\s*\Z")
_LANGUAGES = ("sh", "console", "python")

# What differs from run to run, in this order.
_VARIABLE = re.compile(
    r"""
      (?P<backup>\bshopbell-[0-9a-f]{8}-\d{8}T\d{6}Z\b)
    | (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ | \d\d:\d\d:\d\d | (?<!\d)1[0-9]{12}(?!\d))
    | (?P<secret>\b(?:sb_live|sb_private|sbs|sbi|pk_live|whsec)_[\w…+/=]+)
    | (?P<id>(?<![\d+.])[1-9]\d{3,}(?![\d.]))
    | (?P<any>…)
    | (?P<space>\s+)
    | (?P<punctuation>[:,{}\[\]])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    ``not_run`` is the reason why the test leaves it out. ``ready`` is what its command prints once it runs on.
    ``stopped`` is a command that the reader has stopped before. ``file`` is where the reader is told to save it.
    ``section`` is the heading of the second level above it.
    """

    language: str
    text: str
    line: int
    not_run: str | None = None
    ready: str | None = None
    stopped: str | None = None
    file: str | None = None
    section: str = ""

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command with what the page says that it prints, which is empty where it says nothing."""
        if self.language == "sh":
            yield self.text, ""
            return
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            found = re.match(r"(?:.*\\\n)*.*\n", part)
            assert found is not None
            yield found[0], part[found.end() :]


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that its readers run or save, in order."""
    for found in _BLOCK.finditer(page):
        before = page[: found.start()]
        comment = _COMMENT.search(before)
        file = _FILE.search(before[: comment.start()] if comment else before)
        if found["language"] not in _LANGUAGES and not file:
            continue
        yield Block(
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            before.count("\n") + 1,
            **({_FIELDS[comment[1]]: comment[2]} if comment else {}),
            file=file[1] if file else None,
            section="".join(_SECTION.findall(before)[-1:]),
        )


def with_real(text: str, real: dict[str, str]) -> str:
    """Replace ids, ports, addresses and secrets that a page shows by real ones."""
    if not real:
        return text
    words = "|".join(re.escape(word) for word in sorted(real, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{words})(?!\w)", lambda found: real[found[0]], text)


def compare(shown: str, printed: str, real: dict[str, str]) -> dict[str, str] | None:
    """Compare what a page shows with what a command printed.

    White space and times may differ, and ``…`` is any text. Ids and secrets may differ, too, but those that look the
    same on the page must be the same.

    Args:
        shown: the output on the page.
        printed: the real output.
        real: the real ids and secrets for those on the page, as far as they are known.

    Returns:
        The ids and secrets that this output tells; None if the outputs differ.
    """
    names: dict[str, str] = {}
    pattern = ""
    end = 0
    for found in _VARIABLE.finditer(shown):
        pattern += re.escape(shown[end : found.start()]) + _pattern(found, names, real)
        end = found.end()
    matched = re.fullmatch(pattern + re.escape(shown[end:]) + r"\s*", printed, re.DOTALL)
    return None if matched is None else {word: matched[name] for word, name in names.items()}


def _pattern(found: re.Match[str], names: dict[str, str], real: dict[str, str]) -> str:
    word = found[0]
    kind = found.lastgroup
    if kind == "space":
        return r"\s*"
    if kind == "punctuation":
        return rf"\s*{re.escape(word)}\s*"
    if kind == "any":
        return ".*?"
    if kind == "time":
        return re.sub(r"\d", r"\\d", word)
    if kind == "id" and word in real:
        return re.escape(real[word])
    if word in names:
        return f"(?P={names[word]})"
    names[word] = f"word_{len(names)}"
    letters = "[0-9]+" if kind == "id" else r"[^\s\"']+"
    return f"(?P<{names[word]}>{letters})"
