"""Read the file of an organization: every line is looked at, and counted for in the last one, before any is used."""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson
from sqlalchemy import Boolean, Column, Integer, String, Table

from shopbell.errors import CommandError
from shopbell.organization_archive import (
    FORMAT,
    KIND,
    LEFT_OUT_COLUMNS,
    Span,
    columns,
    id_columns,
    of_organization,
    tables,
    with_ids,
)
from shopbell.storage.ids import ID_END
from shopbell.storage.schema import attachments

LINE_MAX_BYTES = 4 * 1024 * 1024
FAULTS_SHOWN = 10
_LAST_MARK = b'{"end":true'


class BadLine(ValueError):
    """What is wrong with a line, without any of its values."""


@dataclass(slots=True)
class File:
    """What a file holds, once it was looked through.

    Args:
        organization_id: its organization's, as the file has it.
        lines: how many.
        sha256: of all bytes before the last line.
        counts: the rows of each table.
        span: its ids.
        stored: the attachments whose bytes are in it, by their ids in the file.
    """

    organization_id: int = 0
    lines: int = 0
    sha256: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    span: Span = field(default_factory=Span)
    stored: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Row:
    """A line that is a row."""

    line: int
    table: Table
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A line that is a piece of an attachment's bytes."""

    line: int
    attachment_id: int
    content: bytes


class _Known:
    """The tables of files, looked up once."""

    def __init__(self) -> None:
        self.tables = {str(table.name): table for table in tables()}
        self.order = {name: place for place, name in enumerate(self.tables)}
        self.columns = {name: {str(one.name): one for one in columns(table)} for name, table in self.tables.items()}
        self.ids = {name: id_columns(table) for name, table in self.tables.items()}
        self.needed = {
            name: {
                one.name
                for one in columns(table)
                if not one.nullable and one.server_default is None and one.name not in LEFT_OUT_COLUMNS.get(table, ())
            }
            for name, table in self.tables.items()
        }


_KNOWN = _Known()


def look_through(file: BinaryIO) -> File:
    """Check a whole file and change nothing.

    Args:
        file: open for reading, at its beginning.

    Raises:
        CommandError: it is damaged, cut off, of a newer version or something else; bad lines by their numbers.
    """
    looked, files = File(), _Files()
    faults: list[str] = []
    announced: dict[str, int] = {}
    place = -1
    for number, content, is_last in _lines(file, looked):
        try:
            document = _document(content)
            if number == 1:
                looked.organization_id, announced = _header(document)
            elif is_last:
                _end(document, looked)
            elif "attachment" in document:
                files.add(_piece(number, document))
                place = len(_KNOWN.order)
            else:
                row = _row(number, document)
                place = _in_order(row, place)
                _look_at(row, looked, files)
        except BadLine as error:
            if number == 1:
                raise CommandError(f"this is not the file of an organization: line 1 {error}") from None
            faults.append(f"line {number} {error}")
            if len(faults) == FAULTS_SHOWN:
                break
    if not faults and looked.counts != {name: count for name, count in announced.items() if count}:
        faults.append("the file does not hold as many rows as its first line says")
    if not faults:
        faults += files.faults()
    if faults:
        raise CommandError("\n".join([*faults, "nothing was imported"]))
    looked.stored = set(files.begun)
    return looked


def read(file: BinaryIO, looked: File) -> Iterator[Row | Piece]:
    """The rows and then the attachments' bytes of a file that was looked through.

    Args:
        file: open for reading, at its beginning.
        looked: what ``look_through`` found.

    Raises:
        CommandError: after the last line: it is not the same file any more.
    """
    again = File()
    for number, content, is_last in _lines(file, again):
        if number == 1 or is_last:
            continue
        document = _document(content)
        yield _piece(number, document) if "attachment" in document else _row(number, document)
    if (again.sha256, again.lines) != (looked.sha256, looked.lines):
        raise CommandError("the file was changed while it was read; nothing was imported")


def _lines(file: BinaryIO, into: File) -> Iterator[tuple[int, bytes, bool]]:
    """Number, content, and whether it is the last, of each line; what follows the last one is damage, too."""
    digest = hashlib.sha256()
    ended = False
    while line := file.readline(LINE_MAX_BYTES + 1):
        into.lines += 1
        if ended:
            raise CommandError(f"the file is damaged: something follows its last line, {into.lines - 1}")
        if not line.endswith(b"\n"):
            what = "is too long" if len(line) > LINE_MAX_BYTES else "is cut off"
            raise CommandError(f"the file is damaged: line {into.lines} {what}; nothing was imported")
        ended = line.startswith(_LAST_MARK)
        if ended:
            into.sha256 = digest.hexdigest()
        digest.update(line)
        yield into.lines, line, ended
    if not ended:
        raise CommandError(f"the file is cut off after line {into.lines}; nothing was imported")


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise BadLine("is not JSON") from None
    if not isinstance(document, dict):
        raise BadLine("is no JSON object")
    return document


def _header(document: dict[str, Any]) -> tuple[int, dict[str, int]]:
    if document.get("shopbell") != KIND:
        raise BadLine("does not say so")
    if document.get("format") != FORMAT:
        raise BadLine("names another format; a newer version of Shopbell wrote it")
    organization_id, counts = document.get("organizationId"), document.get("counts")
    if isinstance(organization_id, int) and isinstance(counts, dict) and all(map(_is_int, counts.values())):
        return organization_id, counts
    raise BadLine("does not say what it holds")


def _end(document: dict[str, Any], looked: File) -> None:
    if document.get("sha256") != looked.sha256:
        raise BadLine("has another SHA-256 than the lines before it: the file is damaged")
    if document.get("lines") != looked.lines:
        raise BadLine("counts other lines than there are")


def _row(number: int, document: dict[str, Any]) -> Row:
    name, values = document.get("table"), document.get("row")
    table = _KNOWN.tables.get(name) if isinstance(name, str) else None
    if table is None or not isinstance(values, dict):
        raise BadLine("is neither a row of a known table nor a piece of an attachment")
    return Row(number, table, values)


def _in_order(row: Row, place: int) -> int:
    """The place of a row's table, which must not be before that of the row before."""
    if _KNOWN.order[row.table.name] < place:
        raise BadLine(f"is a row of {row.table.name}, which must come earlier")
    return _KNOWN.order[row.table.name]


def _look_at(row: Row, looked: File, files: "_Files") -> None:
    name = str(row.table.name)
    known = _KNOWN.columns[name]
    for column, value in row.values.items():
        if column not in known:
            raise BadLine("has a column that this version does not know")
        _check(known[column], value)
    if lacking := _KNOWN.needed[name] - row.values.keys():
        raise BadLine(f"lacks {min(lacking)}")
    if row.values[of_organization(row.table)] != looked.organization_id:
        raise BadLine("is of another organization")
    ids = _KNOWN.ids[name]
    if not all(0 < row.values[id_] < ID_END for id_ in ids if row.values.get(id_) is not None):
        raise BadLine("has an id that is none")
    try:
        with_ids(row.table, row.values, ids, looked.span)
    except ValueError:
        raise BadLine("has details that are no JSON object") from None
    looked.counts[name] = looked.counts.get(name, 0) + 1
    if row.table is attachments:
        files.announce(row.values["id"], row.values["length_bytes"], row.values["sha256"])


def _check(column: Column[Any], value: object) -> None:
    if value is None:
        right = bool(column.nullable)
    elif isinstance(column.type, Boolean):
        right = isinstance(value, bool)
    elif isinstance(column.type, Integer):
        right = _is_int(value) and -(2**63) <= int(value) < 2**63  # type: ignore[call-overload]  # it is one
    else:
        length = column.type.length if isinstance(column.type, String) else None
        right = isinstance(value, str) and "\0" not in value and (length is None or len(value) <= length)
    if not right:
        raise BadLine(f"has a wrong {column.name}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _piece(number: int, document: dict[str, Any]) -> Piece:
    id_, content = document.get("attachment"), document.get("base64")
    try:
        if not _is_int(id_) or not isinstance(content, str):
            raise BadLine("is no piece of an attachment")
        return Piece(number, int(id_), base64.b64decode(content, validate=True))  # type: ignore[arg-type]
    except (binascii.Error, ValueError):
        raise BadLine("is no piece of an attachment") from None


class _Files:
    """The attachments of a file: what their rows say, and what their pieces amount to."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[int, str]] = {}
        self._last: int | None = None
        self.begun: dict[int, tuple[int, Any]] = {}

    def announce(self, id_: int, length_bytes: int, sha256: str) -> None:
        """Note what a row says."""
        self._rows[id_] = (length_bytes, sha256)

    def add(self, piece: Piece) -> None:
        """Add a piece; those of one attachment follow each other."""
        if piece.attachment_id not in self._rows:
            raise BadLine("is a piece of an attachment that has no row")
        if piece.attachment_id != self._last and piece.attachment_id in self.begun:
            raise BadLine("is a piece of an attachment that was finished")
        self._last = piece.attachment_id
        length, digest = self.begun.get(piece.attachment_id, (0, hashlib.sha256()))
        digest.update(piece.content)
        self.begun[piece.attachment_id] = (length + len(piece.content), digest)

    def faults(self) -> list[str]:
        """What does not fit together."""
        wrong = [id_ for id_, (length, digest) in self.begun.items() if (length, digest.hexdigest()) != self._rows[id_]]
        return [f"the bytes of attachment {id_} are not what its row says" for id_ in wrong[:FAULTS_SHOWN]]
