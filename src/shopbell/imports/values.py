"""Read the values of JSON objects that may be of any type."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from shopbell.email import html
from shopbell.imports.model import BrokenRecord, Message

_SECONDS_MAX = 10**11
"""Greater numbers are milliseconds."""

_END_MS = 4_102_444_800_000
"""The year 2100."""


def text(value: object) -> str:
    """A text without what databases do not accept; empty for anything that is neither text nor a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Lone surrogates become question marks.
    return str(value).replace("\0", "").encode("utf-8", "replace").decode().strip()


def html_text(value: object, notes: list[str]) -> str:
    """The text of HTML, or of its beginning if the HTML is very long.

    Args:
        notes: receives a note for the report if it is only the beginning.
    """
    found = text(value)
    if "<" not in found and "&" not in found:
        return found
    cleaned = html.clean(found)
    if not cleaned.is_whole:
        notes.append("its HTML is too long: only the beginning is imported")
    return html.to_text(cleaned.html).strip()


def identifier(value: object) -> str:
    """The id of a record.

    Raises:
        BrokenRecord: it has none.
    """
    found = text(value)
    if not found:
        raise BrokenRecord("has no id")
    return found


def key(kind: str, value: object) -> str:
    """The key of a person; empty if there is no id."""
    found = text(value)
    return f"{kind}:{found}" if found else ""


def member(value: object, *names: str) -> Any:
    """The member of nested objects; None if one of them is not there."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; empty if it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(values: Iterable[object]) -> tuple[str, ...]:
    """The texts that are not empty, each once."""
    return tuple(dict.fromkeys(found for value in values if (found := text(value))))


def time_ms(value: object) -> int:
    """A time in Unix ms, from ISO 8601 or a Unix time in seconds or milliseconds.

    Raises:
        BrokenRecord: it is no such time.
    """
    at_ms = -1
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _END_MS:
        at_ms = int(value * 1_000 if value < _SECONDS_MAX else value)
    elif isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise BrokenRecord("has a time that is not ISO 8601") from None
        at_ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)
    if not 0 <= at_ms < _END_MS:
        raise BrokenRecord("has no valid time")
    return at_ms


def in_order(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Messages that say something, by their times.

    Raises:
        BrokenRecord: there are none.
    """
    found = sorted((each for each in messages if each.text or each.files), key=lambda each: each.at_ms)
    if not found:
        raise BrokenRecord("has no messages with text or files")
    return tuple(found)


def items(record: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    """The records of a page of an API; a record that is no page is returned as it is.

    Args:
        names: the members that hold the records of a page.
    """
    pages = [record[name] for name in names if isinstance(record.get(name), list)]
    if not pages:
        yield record
    for page in pages:
        yield from objects(page)
