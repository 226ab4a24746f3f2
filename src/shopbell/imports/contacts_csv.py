"""Read customers from a CSV file, as spreadsheets write it."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from shopbell.errors import CommandError
from shopbell.formats import names
from shopbell.imports.model import BrokenRecord, Person
from shopbell.imports.values import text

FIELDS: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "e-mail", "email address", "mail", "email 1 - value", "e-mail 1 - value"),
    "phone": ("phone", "phone number", "mobile", "mobile phone", "telephone", "phone 1 - value"),
    "name": ("name", "full name", "display name", "contact name"),
    "first name": ("first name", "firstname", "given name"),
    "last name": ("last name", "lastname", "surname", "family name"),
    "company": ("company", "company name", "organization", "organisation", "organization name"),
    "locale": ("locale", "language"),
}
"""The fields, each with the headings that mean it, apart from case, accents and underscores."""

LINE_MAX_CHARACTERS = 16 * 1024 * 1024
"""The longest line. Everything longer is a file without lines, which may not fit into memory."""

_VALUE_MAX_CHARACTERS = csv.field_size_limit()
"""The longest value, and the longest line of headings."""

_REFUSED = "x" * (_VALUE_MAX_CHARACTERS + 1)
_DELIMITERS = (";", "\t", ",")


def read(file: IO[str], path: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, Person | BrokenRecord]]:
    """Read a file row by row.

    Args:
        file: the file, opened with the encoding ``utf-8-sig``, ``errors="surrogateescape"`` and ``newline=""``.
        path: its name for errors.
        columns: the heading for each field that was named by hand.

    Yields:
        The number of the last line of each row that is not empty, and its customer, or what is wrong with it.

    Raises:
        CommandError: the first line is too long, or has no heading for an email address or a phone number.
    """
    heading = file.readline(_VALUE_MAX_CHARACTERS + 1)
    if len(heading) > _VALUE_MAX_CHARACTERS:
        raise CommandError(f"{path.name}, line 1: the line is too long; the file must have one line for each customer")
    if not _is_utf_8(heading):
        raise CommandError(f'{path.name}, line 1: the file is not UTF-8; save it as "CSV UTF-8"')
    delimiter = max(_DELIMITERS, key=heading.count)
    headings = [each.strip() for each in next(csv.reader([heading], delimiter=delimiter), [])]
    places = _places(headings, path, columns)
    rows = csv.reader(_lines(file), delimiter=delimiter)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield rows.line_num + 1, BrokenRecord("is too long, or has a value that is too long")
            continue
        if any(value.strip() for value in row):
            yield rows.line_num + 1, _person(row, places)


def _lines(file: IO[str]) -> Iterator[str]:
    """The lines of a file; instead of one that may not fit into memory, one that the parser refuses too."""
    while line := file.readline(LINE_MAX_CHARACTERS + 1):
        is_too_long = len(line) > LINE_MAX_CHARACTERS
        while is_too_long and line and not line.endswith(("\n", "\r")):
            line = file.readline(LINE_MAX_CHARACTERS)
        yield _REFUSED if is_too_long else line


def _places(headings: list[str], path: Path, columns: Mapping[str, str]) -> dict[str, int]:
    """The column of each field."""
    by_name = {_folded(name): place for place, name in reversed(list(enumerate(headings)))}
    places: dict[str, int] = {}
    for field, known in FIELDS.items():
        wanted = (columns[field],) if field in columns else known
        place = next((by_name[_folded(name)] for name in wanted if _folded(name) in by_name), None)
        if place is not None:
            places[field] = place
        elif field in columns:
            raise CommandError(f"{path.name}, line 1: there is no column {columns[field]!r}")
    if "email" not in places and "phone" not in places:
        raise CommandError(
            f"{path.name}, line 1: there is no column for email addresses or phone numbers; "
            "name it, for example with --column email=HEADING"
        )
    return places


def _folded(heading: str) -> str:
    return names.folded(heading.replace("_", " "))


def _person(row: list[str], places: Mapping[str, int]) -> Person | BrokenRecord:
    values = {field: row[place] for field, place in places.items() if place < len(row)}
    if not all(map(_is_utf_8, values.values())):
        return BrokenRecord("is not UTF-8")
    found = {field: text(value) for field, value in values.items()}
    full = " ".join(filter(None, (found.get("first name"), found.get("last name"))))
    return Person(
        "",
        name=full or found.get("name", ""),
        email=found.get("email", ""),
        phone=_phone(found.get("phone", "")),
        company=found.get("company", ""),
        locale=found.get("locale", ""),
    )


def _phone(value: str) -> str:
    """A number without what spreadsheets and address books add: an apostrophe, or further numbers after ``:::``."""
    return value.removeprefix("'").partition(":::")[0].strip()


def _is_utf_8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
