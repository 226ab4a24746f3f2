"""Cut texts at grapheme clusters (UAX #29), the characters that people see."""

from functools import cache
from typing import Any


@cache
def _grapheme() -> Any:
    import regex  # 2 MB, and many servers cut no text

    return regex.compile(r"\X")


def boundaries(text: str) -> list[int]:
    """Return where a text can be cut, in code points: 0 and the end of each grapheme."""
    return [0, *(found.end() for found in _grapheme().finditer(text))]


def beginning(text: str, at_most: int) -> str:
    """Return the longest prefix of at most so many code points that splits no grapheme."""
    if len(text) <= at_most:
        return text
    # A grapheme that starts within the limit may end far beyond it.
    return text[: max(end for end in boundaries(text[: at_most + 1]) if end <= at_most)]
