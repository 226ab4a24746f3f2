"""Output of commands: tables for people or, with ``--json``, one JSON document for programs."""

import dataclasses
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from unicodedata import category

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
"""An option of every command."""

_ID_MAX = 2**53 - 1

_INTERNAL = {
    "token_hash",
    "merge_id",
    "last_reply_author_id",
    "last_other_reply_sequence",
    "last_email",
    "last_phone",
}


def open_standard_streams() -> None:
    """Open standard streams that the process was started without, on the null device.

    Otherwise the next file that it opens, such as its database, would become its standard error.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdin = sys.stdin or os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def object_id(text: str) -> int:
    """An id on the command line.

    Raises:
        BadParameter: it is not one.
    """
    if text.isascii() and text.isdigit() and len(text) <= len(str(_ID_MAX)) and 1 <= int(text) <= _ID_MAX:
        return int(text)
    raise typer.BadParameter("must be an id: a whole number such as 12345")


def iso(at_ms: int | None) -> str:
    """A time in Unix ms as ISO 8601 in UTC; an empty text for None."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def as_json(thing: Any) -> dict[str, Any]:
    """A dataclass of the domain as a JSON object: camelCase keys, ids as strings, times in Unix ms."""
    members: dict[str, Any] = {}
    for field in dataclasses.fields(thing):
        if field.name in _INTERNAL:
            continue
        value = getattr(thing, field.name)
        if field.name == "id" or field.name.endswith("_id"):
            value = None if value is None else str(value)
        elif isinstance(value, frozenset):
            value = sorted(value)
        first, *others = field.name.removesuffix("_ms").split("_")
        members[first + "".join(word.capitalize() for word in others)] = value
    return members


def print_json(document: object, *, one_line: bool = False) -> None:
    """Print a document to stdout: indented, or as one line."""
    import orjson

    options = orjson.OPT_APPEND_NEWLINE | (0 if one_line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(document, option=options).decode())
    sys.stdout.flush()


def say(text: str, *, error: bool = False) -> None:
    """Print a line without colors or wrapping: to stdout, or to stderr if it is not part of the result."""
    print(visible(text), file=sys.stderr if error else sys.stdout, flush=True)


def warn(sentences: Iterable[str], log_format: str) -> None:
    """Write warnings of a running process to stderr in the format of its log."""
    import structlog

    from shopbell.runtime.log_output import output

    for sentence in sentences:
        if log_format == "json":  # then stderr has nothing but JSON
            structlog.get_logger().warning(sentence)
        else:
            output().write(f"Warning: {sentence}\n")


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print one object, a line for each fact; facts without a value are left out."""
    shown = [(name, str(value)) for name, value in facts if value not in (None, "")]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        say(f"{name:<{width}}  {value}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str) -> None:
    """Print a table. Elsewhere than on a terminal, each row is one line without colors.

    Args:
        columns: the headings.
        rows: the cells of each row; None is an empty cell.
        nothing: what to print to stderr if there are no rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(visible("" if cell is None else str(cell))) for cell in row] for row in rows]
    if not cells:
        say(nothing, error=True)
        return
    is_terminal = sys.stdout.isatty()
    table = Table(box=SIMPLE_HEAD if is_terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        # Elsewhere the width is not limited, so that `grep` finds whole rows.
        table.add_column(Text(column), no_wrap=not is_terminal, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console = Console() if is_terminal else Console(width=1_000_000, color_system=None, force_terminal=False)
    console.print(table, soft_wrap=False)


def visible(text: str) -> str:
    """A text on one line with control characters escaped: texts of strangers must not control a terminal."""
    return "".join(
        character.encode("unicode_escape").decode() if category(character) in ("Cc", "Cs", "Zl", "Zp") else character
        for character in text
    )
