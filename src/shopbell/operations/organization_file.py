"""Read the file of an organization and check every line before any of it is used."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, BinaryIO, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from sqlalchemy import Boolean, Column, Integer, String, Table

from shopbell.db.ids import ID_END
from shopbell.errors import CommandError
from shopbell.operations.organization_tables import FORMAT, KIND, columns, is_id, map_ids, organization_column, tables

LINE_MAX_BYTES = 4 * 1024 * 1024
ERRORS_SHOWN = 10
_END = b'{"end":true'


class BadLine(ValueError):
    """What is wrong with a line, without any of its values."""


class Row(NamedTuple):
    """A line with a row of a table."""

    line: int
    table: Table
    values: dict[str, Any]


class Piece(NamedTuple):
    """A line with a piece of an attachment's bytes."""

    line: int
    attachment_id: int
    content: bytes


@dataclass(slots=True)
class Contents:
    """What a file contains.

    Attributes:
        organization_id: the organization's id in the file.
        lines: the number of lines.
        sha256: hash of all bytes before the last line.
        counts: the number of rows of each table.
        first_id: the lowest id in the file.
        last_id: the highest id in the file.
        stored: ids in the file of the attachments whose bytes it contains.
    """

    organization_id: int = 0
    lines: int = 0
    sha256: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    first_id: int = ID_END
    last_id: int = 0
    stored: set[int] = field(default_factory=set)

    def add_id(self, id_: int) -> int:
        """Extend the range of ids; return ``id_``."""
        self.first_id, self.last_id = min(self.first_id, id_), max(self.last_id, id_)
        return id_


def _model(table: Table) -> type[BaseModel]:
    """Derive a model of a table's rows from its columns."""
    fields = {str(column.name): _field(column) for column in columns(table)}
    return create_model(str(table.name), __config__=ConfigDict(strict=True, extra="forbid"), **fields)


def _field(column: Column[Any]) -> Any:
    """Return the type of a field and its default; ``...`` means that it is required."""
    kind: Any
    if isinstance(column.type, Boolean):
        kind = bool
    elif is_id(column):
        kind = Annotated[int, Field(gt=0, lt=ID_END)]
    elif isinstance(column.type, Integer):
        kind = Annotated[int, Field(ge=-(2**63), lt=2**63)]
    else:
        length = column.type.length if isinstance(column.type, String) else None
        kind = Annotated[str, Field(max_length=length, pattern=r"^[^\x00]*$")]  # PostgreSQL stores no NUL characters
    is_required = not column.nullable and column.server_default is None
    return (kind | None if column.nullable else kind, ... if is_required else None)


_TABLES = {str(table.name): table for table in tables()}
_ORDER = {name: place for place, name in enumerate(_TABLES)}
_MODELS = {name: _model(table) for name, table in _TABLES.items()}
_COUNTS = TypeAdapter(dict[str, int])


def check(file: BinaryIO) -> Contents:
    """Check a whole file.

    Args:
        file: open for reading, at its start.

    Raises:
        CommandError: the file is damaged, incomplete, from a newer version or not an organization's file. The message
            names bad lines by their numbers.
    """
    contents = Contents()
    files = _Files()
    errors: list[str] = []
    expected: dict[str, int] = {}
    place = 0
    for number, line, is_end in _lines(file, contents):
        try:
            document = _parse(line)
            if number == 1:
                contents.organization_id, expected = _header(document)
            elif is_end:
                _check_end(document, contents)
            elif "attachment" in document:
                place = len(_ORDER)
                files.add(_piece(number, document))
            else:
                row = _row(number, document)
                place = _check_order(row, place)
                _check_row(row, contents)
                if row.table.name == "attachments":
                    files.declare(row.values)
        except BadLine as error:
            if number == 1:
                raise CommandError(f"this is not the file of an organization: line 1 {error}") from None
            errors.append(f"line {number} {error}")
            if len(errors) == ERRORS_SHOWN:
                break
    if not errors and contents.counts != {name: count for name, count in expected.items() if count}:
        errors.append("the number of rows differs from the first line")
    if not errors and contents.counts.get("organizations") != 1:
        errors.append("the row of the organization is missing")  # without ids, the import would take no block of them
    errors = errors or files.errors()
    if errors:
        raise CommandError("\n".join([*errors, "nothing was imported"]))
    contents.stored = set(files.received)
    return contents


def read(file: BinaryIO, contents: Contents) -> Iterator[Row | Piece]:
    """Yield the rows and then the attachments of a checked file.

    Args:
        file: open for reading, at its start.
        contents: the result of ``check``.

    Raises:
        CommandError: after the last line, if the file has changed since the check.
    """
    again = Contents()
    for number, line, is_end in _lines(file, again):
        if number > 1 and not is_end:
            document = _parse(line)
            yield _piece(number, document) if "attachment" in document else _row(number, document)
    if (again.sha256, again.lines) != (contents.sha256, contents.lines):
        raise CommandError("the file changed during the import; nothing was imported")


def _lines(file: BinaryIO, contents: Contents) -> Iterator[tuple[int, bytes, bool]]:
    """Yield the number and bytes of each line and whether it is the end; nothing may follow the end."""
    digest = hashlib.sha256()
    ended = False
    while line := file.readline(LINE_MAX_BYTES + 1):
        contents.lines += 1
        if ended:
            raise CommandError(f"the file is damaged: there is data after its end in line {contents.lines - 1}")
        if not line.endswith(b"\n"):
            what = "is too long" if len(line) > LINE_MAX_BYTES else "is cut off"
            raise CommandError(f"the file is damaged: line {contents.lines} {what}; nothing was imported")
        ended = line.startswith(_END)
        if ended:
            contents.sha256 = digest.hexdigest()
        digest.update(line)
        yield contents.lines, line, ended
    if not ended:
        raise CommandError(f"the file is cut off after line {contents.lines}; nothing was imported")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadLine("is not JSON") from None
    if not isinstance(document, dict):
        raise BadLine("is not a JSON object")
    return document


def _header(document: dict[str, Any]) -> tuple[int, dict[str, int]]:
    if document.get("shopbell") != KIND:
        raise BadLine(f"has no 'shopbell': '{KIND}'")
    if document.get("format") != FORMAT:
        raise BadLine("has an unknown format; a newer version of Shopbell wrote it")
    try:
        counts = _COUNTS.validate_python(document.get("counts"), strict=True)
        return TypeAdapter(int).validate_python(document.get("organizationId"), strict=True), counts
    except ValidationError:
        raise BadLine("has no valid 'organizationId' and 'counts'") from None


def _row(number: int, document: dict[str, Any]) -> Row:
    name, values = document.get("table"), document.get("row")
    table = _TABLES.get(name) if isinstance(name, str) else None
    if table is None or not isinstance(values, dict):
        raise BadLine("is neither a row of a known table nor a piece of an attachment")
    return Row(number, table, values)


def _check_end(document: dict[str, Any], contents: Contents) -> None:
    if document != {"end": True, "lines": contents.lines, "sha256": contents.sha256}:
        raise BadLine("does not match the SHA-256 and number of the lines before it: the file is damaged")


def _check_order(row: Row, place: int) -> int:
    """Return the place of the row's table, which must not be lower than ``place``."""
    if _ORDER[row.table.name] < place:
        raise BadLine(f"is a row of {row.table.name}, which must come earlier")
    return _ORDER[row.table.name]


def _check_row(row: Row, contents: Contents) -> None:
    name = str(row.table.name)
    try:
        _MODELS[name].model_validate(row.values)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        if error["type"] == "extra_forbidden":  # do not repeat its name
            raise BadLine("has a column that this version does not know") from None
        raise BadLine(f"has {'no' if error['type'] == 'missing' else 'an invalid'} {error['loc'][0]}") from None
    if row.values[organization_column(row.table)] != contents.organization_id:
        raise BadLine("belongs to another organization")
    try:
        map_ids(row.table, row.values, contents.add_id)
    except ValueError:
        raise BadLine("has details that are not a JSON object") from None
    contents.counts[name] = contents.counts.get(name, 0) + 1


def _piece(number: int, document: dict[str, Any]) -> Piece:
    id_, content = document.get("attachment"), document.get("base64")
    try:
        if type(id_) is int and isinstance(content, str):
            return Piece(number, id_, base64.b64decode(content, validate=True))
    except ValueError:
        pass
    raise BadLine("is not a piece of an attachment")


class _Files:
    """Compares the attachments in a file with their rows."""

    def __init__(self) -> None:
        self._declared: dict[int, tuple[int, str]] = {}
        self._last: int | None = None
        self.received: dict[int, tuple[int, Any]] = {}

    def declare(self, row: dict[str, Any]) -> None:
        self._declared[row["id"]] = (row["length_bytes"], row["sha256"])

    def add(self, piece: Piece) -> None:
        """Add a piece; all pieces of an attachment must be consecutive."""
        if piece.attachment_id not in self._declared:
            raise BadLine("is a piece of an attachment without a row")
        if piece.attachment_id != self._last and piece.attachment_id in self.received:
            raise BadLine("is a piece of an attachment that ended earlier")
        self._last = piece.attachment_id
        length, digest = self.received.get(piece.attachment_id, (0, hashlib.sha256()))
        digest.update(piece.content)
        self.received[piece.attachment_id] = (length + len(piece.content), digest)

    def errors(self) -> list[str]:
        """List the attachments whose size or hash differs from their rows."""
        wrong = [
            id_ for id_, (size, digest) in self.received.items() if (size, digest.hexdigest()) != self._declared[id_]
        ]
        return [f"the bytes of attachment {id_} do not match its row" for id_ in wrong[:ERRORS_SHOWN]]
