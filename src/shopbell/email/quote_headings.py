"""Find the attribution above quoted text ("On … wrote:", "From: … Sent: …") by its form.

An attribution contains a date, a time and an address, in any language and order. Words are used only if one of these
is missing. Each pattern runs on a few lines of bounded length.
"""

import re
from collections.abc import Sequence

from shopbell.email.quote_words import FORWARDED, LABELS, RECIPIENT, SENDER, TIME, TOPIC, WROTE, WROTE_BEGIN, WROTE_END

HEADING_LINES = 6
"""The maximum number of lines of an attribution."""

_HEADING_CHARACTERS = 400
_SEPARATOR_CHARACTERS = 120
_ATTRIBUTION_CHARACTERS = 60
_BLOCK_LINES = 12
_CLOCK = re.compile(
    r"(?<![\d:.,])\d{1,2}(?:[:：٫∶]\d{2}(?!\d)|\.\d{2}(?![\d.])| ?[h時时点點] ?\d{2}(?!\d)|시 ?\d{1,2}분)",
    re.IGNORECASE,
)
_NUMERIC_DATE = re.compile(
    r"(?<![\d:.])(?:\d{1,2} ?[./-] ?\d{1,2} ?[./-] ?(?:\d{4}|\d{2})(?![\d:])|"
    r"\d{4} ?[./-] ?\d{1,2} ?[./-] ?\d{1,2}(?!\d)"
    r"|\d{4} ?[年년] ?\d{1,2} ?[月월])"
)
_YEAR = re.compile(r"(?<![\d.,:@/+-])\d{4}(?![\d:@])")
_YEARS = range(1300, 2700)  # includes the Persian and Buddhist calendars
_ZONE = re.compile(r"(?<!\S)(?:GMT|UTC)?[+-]\d{2}:?\d{2}(?!\d)")
_DAY = re.compile(r"(?<![\d:.,])\d{1,2}(?![\d:])")
_ANGLE = re.compile(r"(?:^|[\s\"'(<‎])[<\[(] ?(?:mailto:)?[^\s<>()\[\]@]{1,64}@[^\s<>()\[\]@]{1,253}")
_ADDRESS = re.compile(r"[^\s<>()\[\]@:;,]{1,64}@[^\s<>()\[\]@:;,]{1,250}\.\w")
_DASHES = "-_‐–—=*"
_RULE = re.compile(r"[ \t]*[_\-‐–—*=]{5,}[ \t]*")
_SENTENCE_END = re.compile(r"(?:\w{3}[)\"”»]?\.|[!?！？。…])[ \t]*$")
_LABEL = re.compile(r"[ \t*_]{0,5}([^\W\d_][^\d:：<>@!?,;\"|/\\=+]{0,30}?)[ \t\u00a0*_]{0,5}[:：](.*)")
_BEGIN_WITHIN = re.compile(
    r"^(.{1,300}?)(?:(?<=\s)|-{2,} ?)((?:On|Am|Le|El|Il|Em|Op|Den|Dne|Dnia|W dniu|La|În)\s.{0,20}\d)"
)
_DATE_AND_ADDRESS = re.compile(
    rf"(?:\d[:.h]\d\d|[ap]\.?m\.?),?.{{1,8}}{_ADDRESS.pattern}[\w.-]{{0,60}} ?:$", re.IGNORECASE
)
_SECOND_LABEL = re.compile(r"\s[^\W\d_]{2,20}[ \u00a0]?[:：]\s")


def has_date(text: str) -> bool:
    """Return whether a text contains a full date."""
    if _NUMERIC_DATE.search(text):
        return True
    years = [year for year in _YEAR.finditer(text) if int(year[0]) in _YEARS]
    return bool(years) and _DAY.search(text) is not None


def has_clock(text: str) -> bool:
    """Return whether a text contains a time of day."""
    return _CLOCK.search(text) is not None


def has_address(text: str) -> bool:
    """Return whether a text contains an email address."""
    return _ADDRESS.search(text) is not None


def dashed(line: str) -> str | None:
    """Return the text between dashes, such as "---- Original message ----", or None."""
    said = line.strip(" \t:")
    if is_arrowed(line):
        return said.strip("> ")
    inner = said.lstrip(_DASHES)
    begins = len(said) - len(inner)
    inner = inner.rstrip(_DASHES)
    ends = len(said) - begins - len(inner)
    is_dashed = 2 <= begins <= 20 and 2 <= ends <= 20 and any(character.isalpha() for character in inner)
    return inner.strip() if is_dashed else None


def is_arrowed(line: str) -> bool:
    """Return whether GroupWise wrote a line.

    Its form is ">>> Alice <alice@example.com> 3/5/2026 10:11 >>>".
    """
    said = line.strip()
    return said.startswith(">>>") and said.endswith(" >>>") and has_date(said) and has_clock(said)


def is_separator(line: str) -> bool:
    """Return whether a line separates emails, unlike "-- Tom --" or "*** Hi ***"."""
    return line.strip().startswith(("---", "___", "===", "‐‐‐")) and dashed(line) is not None


def is_rule(line: str) -> bool:
    """Return whether a line is a horizontal rule."""
    return _RULE.fullmatch(line) is not None


def parted(line: str) -> tuple[str, ...]:
    """Split a line in two if "On … wrote:" follows a reply on the same line."""
    if len(line) > _HEADING_CHARACTERS or not line.rstrip().endswith((":", "：")) or line.lstrip().startswith(">"):
        return (line,)
    match = _BEGIN_WITHIN.search(line)
    if match is None or not WROTE_END.search(line[-60:]) or not match[1].strip() or "@" in match[1]:
        return (line,)
    heading = line[match.start(2) :]
    is_heading = has_date(heading) and has_clock(heading) and WROTE.search(match[1]) is None
    return (match[1].rstrip(), heading) if is_heading else (line,)


def forwarded(seen: Sequence[str], at: int) -> bool:
    """Return whether a line announces a forwarded email, which follows it."""
    line = seen[at].strip(" \t>")
    if len(line) > _SEPARATOR_CHARACTERS or not line.endswith((":", "：", *_DASHES)) or not FORWARDED.match(line):
        return False
    if dashed(line) is not None:
        return True
    below = next((each.lstrip(" \t>") for each in seen[at + 1 : at + 4] if each.strip(" \t>")), "")
    label = _LABEL.match(below)
    return label is not None and (_is_known(label[1]) or has_address(below))


def may_end(line: str) -> bool:
    """Return whether an attribution may end in a line: a cheap test before the others."""
    said = line.rstrip(" \t*_")
    if said.endswith((":", "：")) or dashed(said) is not None or WROTE_END.search(said[-60:]):
        return True
    return any(character.isdigit() for character in said) and has_date(said) and not _SENTENCE_END.search(said)


def may_begin_block(line: str) -> bool:
    """Return whether a block of labels may begin in a line."""
    return _LABEL.match(line) is not None


def sentence(seen: Sequence[str], quoted: Sequence[bool], at: int) -> int | None:
    """Find the beginning of an "On … wrote:" that ends in a line.

    Args:
        seen: the lines of the email.
        quoted: for each line, whether it is marked as quoted.
        at: the index of the line.

    Returns:
        The index of its first line; None if none ends here.
    """
    line = seen[at].rstrip(" \t*_")
    inner = dashed(line)
    following = next((place for place in range(at + 1, min(at + 4, len(seen))) if seen[place].strip()), None)
    is_marked = following is not None and quoted[following]
    is_ended = line.endswith((":", "："))
    if inner is not None:
        return at if is_marked or _names_all(inner) or _is_written(inner) else None
    begin = _begin(seen, quoted, at, is_ended=is_ended, is_marked=is_marked)
    return None if begin is None else _complete(seen, quoted, begin, at)


def block(seen: Sequence[str], quoted: Sequence[bool], at: int, subject: str) -> bool:
    """Return whether a block "From: … Sent: … Subject: …" begins in a line, in any order.

    Args:
        seen: the lines of the email.
        quoted: for each line, whether it is marked as quoted.
        at: the index of the line.
        subject: the subject of the email, without "Re:".
    """
    first = _LABEL.match(seen[at])
    if first is None or quoted[at]:
        return False
    above = at - 1
    while above >= 0 and not seen[above].strip():
        above -= 1
    is_ruled = above >= 0 and (is_rule(seen[above]) or dashed(seen[above]) is not None)
    is_paragraph = above < 0 or above < at - 1 or is_ruled
    if not is_paragraph and not _is_known(first[1]):
        return False
    if _is_block_in_one_line(seen[at], is_ruled=is_ruled):
        return True
    fields = _fields(seen, quoted, at)
    values = [value for _, value in fields]
    groups = {group for label, _ in fields for group in LABELS if group.fullmatch(label)}
    addressed = sum(has_address(value) for value in values)
    is_dated = any(has_date(value) and has_clock(value) for value in values)
    if SENDER in groups and _is_known(first[1]):
        if groups >= {TIME, RECIPIENT, TOPIC}:
            return True
        if len(groups) >= 3 and (addressed or is_dated):
            return True
    if is_paragraph and len(groups) >= 2 and _is_known(first[1]) and addressed and is_dated:
        return True
    if not is_paragraph or not is_dated:
        return False
    is_subject = len(subject) > 3 and any(value.endswith(subject) for value in values)
    if len(fields) >= 3 and is_subject:
        return True
    if not addressed:
        return False
    if is_ruled:
        return len(fields) >= 2
    return len(fields) >= 3 and (addressed >= 2 or any(_ANGLE.search(value) for value in values))


def _begin(seen: Sequence[str], quoted: Sequence[bool], at: int, *, is_ended: bool, is_marked: bool) -> int | None:
    """Return the nearest line at which an attribution that ends here begins."""
    text = ""
    for begin in range(at, max(-1, at - HEADING_LINES), -1):
        line = seen[begin].strip(" \t>*_" if begin == at else " \t*_")
        if not line:
            # Some programs put empty lines around the address.
            if not text.startswith("<") or begin == at:
                return None
            continue
        if quoted[begin] or (begin < at and _SENTENCE_END.search(line)):
            return None
        text = f"{line} {text}" if text else line
        if len(text) > _HEADING_CHARACTERS:
            return None
        is_paragraph = begin == 0 or not seen[begin - 1].strip() or quoted[begin - 1]
        if _is_heading(text, is_ended=is_ended, is_marked=is_marked, is_paragraph=is_paragraph):
            return begin
    return None


def _is_heading(text: str, *, is_ended: bool, is_marked: bool, is_paragraph: bool) -> bool:
    dated, clocked, named = has_date(text), has_clock(text), _ANGLE.search(text) is not None
    written = WROTE.search(text) is not None
    if is_marked:
        if not is_ended:
            return (dated and (clocked or named)) or (written and named)
        if (dated and clocked) or named:
            return True
        is_short = len(text) <= _ATTRIBUTION_CHARACTERS
        return written and (is_short or dated or clocked or "@" in text or WROTE_BEGIN.match(text) is not None)
    if named and not _ends_near_address(text):
        return False
    if not is_ended:
        return named and dated and clocked and WROTE_END.search(text) is not None
    if named:
        return (dated and clocked) or (written and _is_written(text))
    if dated and _DATE_AND_ADDRESS.search(text) is not None:
        return is_paragraph
    # Only a program writes a time zone.
    return dated and clocked and is_paragraph and (_names_author(text) or _ZONE.search(text) is not None)


def _complete(seen: Sequence[str], quoted: Sequence[bool], begin: int, at: int) -> int:
    """Include the lines above that contain a missing date or author."""
    while begin > max(0, at - HEADING_LINES + 1):
        above = begin - 1
        if not seen[above].strip() and seen[begin].lstrip(" \t>").startswith("<"):
            above -= 1
        line = seen[above].strip(" \t*_") if above >= 0 else ""
        if not line or quoted[above] or line.endswith((":", "：")) or _SENTENCE_END.search(line):
            break
        text = " ".join(seen[begin : at + 1])
        head = text.lstrip(" \t*_\"'")[:1]
        lacks_date = not has_date(text) and (has_date(line) or has_clock(line))
        lacks_author = _ANGLE.search(text) is None and _ANGLE.search(line) is not None
        is_continued = head.islower() and WROTE_BEGIN.match(text) is None and len(line) <= 80
        if not (lacks_date or lacks_author or is_continued or head == "<"):
            break
        begin = above
    return begin


def _names_all(text: str) -> bool:
    return has_date(text) and has_clock(text) and has_address(text)


def _is_written(text: str) -> bool:
    """Return whether an attribution ends in its verb, or nearly."""
    return WROTE_END.search(text.rstrip(" \t:：*_-")) is not None


def _names_author(text: str) -> bool:
    """Return whether little but a name is between time and verb; not "your colleague"."""
    verb = WROTE.search(text)
    if verb is None:
        return False
    ends = [match.end() for form in (_CLOCK, _NUMERIC_DATE, _YEAR) for match in form.finditer(text, 0, verb.start())]
    said = text[max(ends, default=0) : verb.start()]
    if not any(character.isalpha() for character in said):
        said = re.split(r"\d", text[verb.end() :], maxsplit=1)[0]
    elif any(character.isalpha() for character in text[verb.end() :]) and not ends:
        said = said.strip()  # the author first, and then the date
    elif len(text[verb.end() :].split()) > 3:
        return False
    names = [word for word in re.findall(r"[^\W\d_]+", said) if word != "I"]
    small = sum(name.islower() for name in names)
    return small <= 1 and small < len(names) and sum(map(len, names)) > 3 and "@" not in said


def _ends_near_address(text: str) -> bool:
    """Return whether little but a verb, a date and a time follows the address."""
    rest = text
    for match in _ANGLE.finditer(text):
        rest = text[match.end() :]
    return len(rest) <= 40 or (len(rest) <= 90 and (has_date(rest) or has_clock(rest)))


def _is_block_in_one_line(line: str, *, is_ruled: bool) -> bool:
    first = _LABEL.match(line)
    if first is None or _SECOND_LABEL.search(first[2]) is None:
        return False
    is_known = SENDER.fullmatch(first[1].rstrip()) is not None
    return (is_ruled or is_known) and has_date(line) and has_clock(line) and has_address(line)


def _fields(seen: Sequence[str], quoted: Sequence[bool], at: int) -> list[tuple[str, str]]:
    """Return the labels and values of a block; a value may continue on the next line."""
    fields: list[tuple[str, str]] = []
    blank = False
    for place in range(at, min(at + _BLOCK_LINES, len(seen))):
        line = seen[place]
        match = None if quoted[place] else _LABEL.match(line)
        if match is not None and not _is_address_line(line):
            if blank and not _is_known(match[1]):
                break
            fields.append((match[1].rstrip(), match[2].strip(" \t*_")))
            blank = False
        elif not line.strip():
            if blank:
                break
            blank = True
        elif not blank and (line[:1] in " \t" or has_address(line)):
            continue
        else:
            break
    return fields


def _is_known(label: str) -> bool:
    return any(group.fullmatch(label.rstrip()) for group in LABELS)


def _is_address_line(line: str) -> bool:
    """Return whether a line begins with a URL."""
    return line.lstrip().lower().startswith(("http:", "https:", "mailto:", "tel:"))
