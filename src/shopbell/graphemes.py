"""Cut texts between the characters that people see (grapheme clusters, UAX #29)."""

import regex

_GRAPHEME = regex.compile(r"\X")


def boundaries(text: str) -> list[int]:
    """The places where a text may be cut, in code points and ascending: 0 and the end of each grapheme."""
    return [0, *(found.end() for found in _GRAPHEME.finditer(text))]


def beginning(text: str, at_most: int) -> str:
    """The longest beginning of a text that has at most so many code points and cuts no grapheme in two."""
    if len(text) <= at_most:
        return text
    # A grapheme that begins within the limit may end far behind it.
    return text[: max(end for end in boundaries(text[: at_most + 1]) if end <= at_most)]
