"""Separate a reply from the text that it quotes below, above or between its lines.

It takes one pass, and no pattern runs on more than six lines, so the time is linear in the length of the text.
"""

import re
from collections.abc import Sequence
from itertools import accumulate

from shopbell.email import quote_headings as headings
from shopbell.email.marker import CLOSING, MARKER, OPENING
from shopbell.email.quote_signatures import is_signature
from shopbell.email.quote_words import FORWARD_SUBJECT, ORIGINAL, SUBJECT_MARK, UNSEEN

LINE_CHARACTERS = 500
"""How much of each line is examined."""

LINES_MAX = 5_000
"""How many lines are examined; all further lines are kept."""

_SENTENCES_MAX = 300
_BLOCKS_MAX = 500
_CONTEXT_LINES = 5
_LAST_LINES = 3
_BARE_SIGNATURE_LINES = 12
_WRAPPED_CHARACTERS = 50
_MANY_EMPTY = re.compile(r"\n{3,}")
_SIGNATURE = re.compile(r"--[ \t\u00a0]?")
_OPEN_ADDRESS = re.compile(r"(?:^|\s)<(?:mailto:)?(?:[^\s<>@]+@[^\s<>]*)?$")
_LINK_ALONE = re.compile(r"[(<]?https?://\S+(?: ?[>)])?")
_OPEN_LINK = re.compile(r"[(<]https?://[^\s()<>]*$")
_ENDED = (".", "!", "?", ":", "…", "。", "？", "！", "؟", "：")


def cut(text: str, subject: str = "") -> str:
    """Return the reply in an email.

    Replies between the lines of a quote stay, each with the paragraph that it refers to. Forwarded text stays. A
    signature stays unless it is marked as one (``-- ``) or a phone added it. If nothing would remain, the whole text
    is returned.

    Args:
        text: the text of the whole email; its line breaks must be ``\\n``.
        subject: the subject of the email. It tells forwarded text from quoted text, and attributions repeat it.
    """
    lines = [piece for line in text.split("\n") for piece in headings.parted(line)]
    if len(lines) > LINES_MAX:
        lines[LINES_MAX:] = ["\n".join(lines[LINES_MAX:])]
    seen = [UNSEEN.sub("", line[:LINE_CHARACTERS]).replace("\xa0", " ") for line in lines[:LINES_MAX]]
    quoted = _quoted(seen)
    marker = _marker(seen)
    begin, end = _quote(seen, quoted, subject)
    if marker is not None and (begin is None or marker < begin):
        begin, end = _above_marker(quoted, marker), len(seen)
    elif begin is None and end:
        return text.strip()
    return _answer(lines, seen, quoted, begin, end) or text.strip()


def _marker(seen: Sequence[str]) -> int | None:
    """Find the marker line of our emails in the quote; it may be wrapped into two lines."""
    for at, line in enumerate(seen):
        if OPENING in line:
            place = line.index(OPENING)
            both = line if CLOSING in line else f"{line} {seen[at + 1] if at + 1 < len(seen) else ''}"
            if MARKER.match(f"{'>' if '>' in line[:place] else ''}{both[place:]}"):
                return at
    return None


def _answer(lines: Sequence[str], seen: Sequence[str], quoted: Sequence[bool], begin: int | None, end: int) -> str:
    if begin is None:
        return _tidy(lines, seen, len(lines))
    head = _tidy(lines, seen, begin)
    first = next((at for at in range(end, len(seen)) if seen[at].strip()), None)
    if first is None or not quoted[first]:
        return head  # the program does not mark quoted lines, so everything that follows is quoted
    return "\n\n".join(filter(None, (head, _between(lines[first:], seen[first:], quoted[first:], has_head=bool(head)))))


def _quote(seen: Sequence[str], quoted: Sequence[bool], subject: str) -> tuple[int | None, int]:
    """Find where the quote begins, including its attribution, and where that ends.

    Returns:
        None and 0 if there is no quote; None and the number of lines if the email is forwarded.
    """
    bare = SUBJECT_MARK.sub("", subject, count=1).strip()
    is_forward = FORWARD_SUBJECT.match(subject) is not None
    sentences = blocks = 0
    for at, line in enumerate(seen):
        if not line.strip() or (quoted[at] and at and quoted[at - 1]):
            continue
        if headings.forwarded(seen, at):
            return None, len(seen)
        if quoted[at]:
            continue
        is_block = False
        if blocks < _BLOCKS_MAX and headings.may_begin_block(line):
            blocks += 1
            is_block = headings.block(seen, quoted, at, bare)
        if is_block or ORIGINAL.match(line):
            return (None, len(seen)) if is_forward else (_with_rules(seen, at, is_block=True), len(seen))
        if sentences < _SENTENCES_MAX and headings.may_end(line):
            sentences += 1
            if (begin := headings.sentence(seen, quoted, at)) is not None:
                return _with_rules(seen, begin, is_block=False), at + 1
    trailing = len(seen)
    while trailing and (not seen[trailing - 1].strip() or quoted[trailing - 1]):
        trailing -= 1
    return (trailing, trailing) if any(quoted[trailing:]) else (None, 0)


def _with_rules(seen: Sequence[str], at: int, *, is_block: bool) -> int:
    """Include separators above an attribution, such as "-----Original Message-----"."""
    begin = at
    while begin and at - begin < _LAST_LINES:
        line = seen[begin - 1]
        is_separator = ORIGINAL.match(line) or (is_block and (headings.is_rule(line) or headings.is_separator(line)))
        if line.strip() and not is_separator:
            break
        begin -= 1
    return begin


def _above_marker(quoted: Sequence[bool], marker: int) -> int:
    """Return where the quoted lines above our marker begin, so that none of them is kept."""
    begin = marker
    while begin and quoted[marker] and quoted[begin - 1]:
        begin -= 1
    return begin


def _quoted(seen: Sequence[str]) -> list[bool]:
    """Return for each line whether it is marked as quoted.

    A ">" that only closes a wrapped address does not count.
    """
    opened = list(accumulate(seen, _is_open, initial=False))
    marked = [
        line.lstrip(" \t").startswith(">") and not opened[at] and not headings.is_arrowed(line)
        for at, line in enumerate(seen)
    ]
    for at in range(1, len(seen)):
        if not marked[at] and marked[at - 1] and seen[at].strip():
            below = at + 1 == len(seen) or not seen[at + 1].strip() or marked[at + 1]
            marked[at] = below and _is_rest(seen[at - 1], seen[at], is_between=at + 1 < len(seen) and marked[at + 1])
    return marked


def _is_open(was_open: bool, line: str) -> bool:
    """Return whether an address that begins in this line continues in the next."""
    said = line.strip()
    if said.startswith(">"):
        return False
    return _OPEN_ADDRESS.search(said[-200:]) is not None or (was_open and "@" in said)


def _is_rest(above: str, line: str, *, is_between: bool) -> bool:
    """Return whether a line is the end of the quoted line above, wrapped by a server."""
    said, first = line.strip(), line.split()[0]
    if is_between and _LINK_ALONE.fullmatch(said):
        return said.startswith(("(", "<")) or len(said) >= _WRAPPED_CHARACTERS
    if is_between and len(said) == len(first) and first.endswith((")", ">")) and _OPEN_LINK.search(above[-300:]):
        return True
    is_ended = above.rstrip().endswith(_ENDED)
    room = _WRAPPED_CHARACTERS if is_between else 70
    return (
        not is_ended
        and not first[0].isupper()
        and len(above) >= _WRAPPED_CHARACTERS
        and len(above) + len(first) >= room
        and len(said) < len(above)
        and not said.startswith(("-", "*", "#", "="))
    )


def _between(lines: Sequence[str], seen: Sequence[str], quoted: Sequence[bool], *, has_head: bool) -> str:
    """Return what was written below or between the lines of a quote."""
    said: list[tuple[str, bool]] = []
    context: list[str] = []
    answers = 0
    for at, line in enumerate(seen):
        if quoted[at]:
            context = [*context, lines[at]][-_CONTEXT_LINES:] if line.strip(" >") else []
        elif _SIGNATURE.fullmatch(line):
            break
        elif line.strip():
            if context:
                said += [("", False), *((each, True) for each in context)]
                context = []
                answers += 1
            said.append((lines[at], False))
        elif said:
            said.append(("", False))
    if all(is_quote or not each.strip() or is_signature(each.strip()) for each, is_quote in said):
        return ""
    is_below = answers == 1 and not context  # and not between two questions
    kept = [each for each, is_quote in said if not is_quote or (answers > 1 or (has_head and not is_below))]
    return _MANY_EMPTY.sub("\n\n", _tidy(kept, kept, len(kept)))


def _tidy(lines: Sequence[str], seen: Sequence[str], end: int) -> str:
    """Remove rules, marked signatures and the signatures of phones from the end."""
    signature = next((at for at in range(end) if at < len(seen) and _is_signature_mark(seen, at, end)), None)
    if signature is not None and any(line.strip() for line in lines[:signature]):
        end = signature
    end = _without_rules(lines, end)
    filled = [at for at in range(end) if lines[at].strip()][-_LAST_LINES:]
    for at in filled:
        if is_signature(lines[at].strip()[:LINE_CHARACTERS]) and _is_last(lines, at, end):
            end = _without_rules(lines, at)
            break
    return "\n".join(lines[:end]).strip()


def _is_signature_mark(seen: Sequence[str], at: int, end: int) -> bool:
    """Return whether a signature begins below a line of two dashes.

    People also write such lines, for example above a list.
    """
    if not _SIGNATURE.fullmatch(seen[at]):
        return False
    above = next((seen[place].rstrip() for place in range(at - 1, -1, -1) if seen[place].strip()), "")
    if above.endswith((":", "：")):
        return False
    is_bare = seen[at].rstrip() == seen[at]
    below = [bool(line.strip()) for line in seen[at + 1 : min(end, at + 100)]]
    return not is_bare or (not seen[at - 1].strip() and any(below[:1]) and sum(below) <= _BARE_SIGNATURE_LINES)


def _is_last(lines: Sequence[str], at: int, end: int) -> bool:
    """Return whether at most links, rules and other added lines follow."""
    return all(
        not line.strip()
        or headings.is_rule(line)
        or is_signature(line.strip())
        or line.strip().startswith(("<http", "http"))
        for line in (each[:LINE_CHARACTERS] for each in lines[at + 1 : end])
    )


def _without_rules(lines: Sequence[str], end: int) -> int:
    while end and (not lines[end - 1].strip() or headings.is_rule(lines[end - 1][:LINE_CHARACTERS])):
        end -= 1
    return end
