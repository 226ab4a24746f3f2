"""What somebody answered, cut from what his mail program quoted below, above or between. Pure, and one pass: no pattern
is tried on more than a line or four, so that no text takes longer than its length deserves."""

import re
from collections.abc import Sequence

from shopbell.mail.marker import CLOSING, MARKER, OPENING
from shopbell.mail.quote_words import (
    FORWARDED,
    ORIGINAL,
    OTHER_LABELS,
    PHONE_SIGNATURE,
    SENDER,
    UNSEEN,
    WROTE,
    WROTE_BEGIN,
)

LINE_CHARACTERS = 500
"""How much of a line is looked at."""

LINES_MAX = 5_000
"""How many lines are looked at; an answer that is longer is kept whole."""

_SENTENCES_MAX = 100
_SENTENCE_LINES = 4
"""Over how many lines programs break "On … wrote:"."""

_BLOCK_LINES = 6
_CONTEXT_LINES = 5
_LAST_LINES = 3
_RULE = re.compile(r"[ \t]*[_\-–—*=]{5,}[ \t]*")
_MANY_EMPTY = re.compile(r"\n{3,}")
_SIGNATURE = re.compile(r"--[ \t\u00a0]?")


def cut(text: str) -> str:
    """The answer in a mail.

    What was written between the lines of the quote stays, each with the paragraph that it answers; what was forwarded
    stays; a signature stays unless it is marked as one (``-- ``) or written by a telephone. When nothing would be left,
    all stays: the whole text is better than none.

    Args:
        text: of the whole mail, with line breaks of one character.
    """
    lines = text.split("\n")
    if len(lines) > LINES_MAX:
        lines[LINES_MAX:] = ["\n".join(lines[LINES_MAX:])]
    seen = [UNSEEN.sub("", line[:LINE_CHARACTERS]).replace("\xa0", " ") for line in lines[:LINES_MAX]]
    begin, end = _quote(seen)
    marker = _marker(seen)
    if marker is not None and (begin is None or marker < begin):
        begin, end = marker, len(seen)
    return _answer(lines, seen, begin, end) or text.strip()


def _marker(seen: Sequence[str]) -> int | None:
    """The line that our mails begin with, in the quote; a program may have broken it in two."""
    for at, line in enumerate(seen):
        if OPENING in line:
            place = line.index(OPENING)
            both = line if CLOSING in line else f"{line} {seen[at + 1] if at + 1 < len(seen) else ''}"
            if MARKER.match(f"{'>' if '>' in line[:place] else ''}{both[place:]}"):
                return at
    return None


def _answer(lines: Sequence[str], seen: Sequence[str], begin: int | None, end: int) -> str:
    if begin is None:
        return _tidy(lines, seen, len(lines))
    head = _tidy(lines, seen, begin)
    first = next((at for at in range(end, len(seen)) if seen[at].strip()), None)
    if first is None or not _is_quoted(seen[first]):
        return head  # a program that marks no lines: all that follows is the quote
    return "\n\n".join(filter(None, (head, _between(lines[first:], seen[first:], has_head=bool(head)))))


def _quote(seen: Sequence[str]) -> tuple[int | None, int]:
    """Where the quote begins, its heading included, and where that heading ends."""
    sentences = 0
    for at, line in enumerate(seen):
        if FORWARDED.match(line):
            return None, 0
        if ORIGINAL.match(line) or _is_block(seen, at):
            return at, len(seen)  # these programs mark no lines
        if sentences < _SENTENCES_MAX and line.rstrip(" *_").endswith((":", "：")):
            sentences += 1
            if (begin := _sentence(seen, at)) is not None:
                return begin, at + 1
    trailing = len(seen)
    while trailing and (not seen[trailing - 1].strip() or _is_quoted(seen[trailing - 1])):
        trailing -= 1
    return (trailing, trailing) if any(map(_is_quoted, seen[trailing:])) else (None, 0)


def _is_block(seen: Sequence[str], at: int) -> bool:
    """Whether "From: … Sent: … Subject: …" begins here."""
    if not SENDER.match(seen[at]):
        return False
    others = seen[at + 1 : at + _BLOCK_LINES]
    return sum(any(label.match(line) for line in others) for label in OTHER_LABELS) >= 2


def _sentence(seen: Sequence[str], at: int) -> int | None:
    """Where "On … wrote:" begins when it ends in this line."""
    following = next((line for line in seen[at + 1 : at + _SENTENCE_LINES] if line.strip()), "")
    is_sure = _is_quoted(following) and not _is_quoted(seen[at])
    sentence = ""
    nearest = None
    for begin in range(at, max(-1, at - _SENTENCE_LINES), -1):
        if not seen[begin].strip():
            break
        sentence = seen[begin].strip(" \t>*_") + " " + sentence
        if not WROTE.search(sentence) or not (is_sure or any(character.isdigit() for character in sentence)):
            continue
        if WROTE_BEGIN.match(sentence):
            return begin
        if nearest is None and "@" in sentence and "<" in sentence:
            nearest = begin  # "Alice <alice@example.com> wrote on 3 May:"
    return nearest


def _between(lines: Sequence[str], seen: Sequence[str], *, has_head: bool) -> str:
    """What was written below the first lines of a quote, or between them."""
    said: list[str] = []
    context: list[str] = []
    answers = 0
    for at, line in enumerate(seen):
        if _is_quoted(line):
            context = [*context, lines[at]][-_CONTEXT_LINES:] if line.strip(" >") else []
        elif line.strip():
            if _SIGNATURE.fullmatch(line):
                break
            if context:
                said += ["", *context]
                context = []
                answers += 1
            said.append(lines[at])
        elif said:
            said.append("")
    if answers == 1 and not has_head:
        said = [line for line in said if not _is_quoted(line)]
    return _MANY_EMPTY.sub("\n\n", _tidy(said, said, len(said)))


def _tidy(lines: Sequence[str], seen: Sequence[str], end: int) -> str:
    """Lines without what stands at their end and says nothing: rules, marked signatures, those of telephones."""
    signature = next((at for at in range(end) if at < len(seen) and _SIGNATURE.fullmatch(seen[at])), None)
    if signature is not None and any(line.strip() for line in lines[:signature]):
        end = signature
    end = _without_rules(lines, end)
    filled = [at for at in range(end) if lines[at].strip()][-_LAST_LINES:]
    for at in filled:
        if PHONE_SIGNATURE.match(lines[at].strip()[:LINE_CHARACTERS]):
            end = _without_rules(lines, at)
            break
    return "\n".join(lines[:end]).strip()


def _without_rules(lines: Sequence[str], end: int) -> int:
    while end and (not lines[end - 1].strip() or _RULE.fullmatch(lines[end - 1][:LINE_CHARACTERS])):
        end -= 1
    return end


def _is_quoted(line: str) -> bool:
    return line.lstrip(" \t").startswith(">")
