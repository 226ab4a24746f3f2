"""Read large files with one JSON object per line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shopbell.errors import CommandError
from shopbell.imports.model import BrokenRecord

LINE_MAX_BYTES = 64 * 1024 * 1024
"""The longest line. Everything longer is a file without lines, which would not fit into memory."""

_BOM = b"\xef\xbb\xbf"


def read(file: BinaryIO, path: Path) -> Iterator[tuple[int, list[dict[str, Any]] | BrokenRecord]]:
    """Read a file line by line.

    Yields:
        The number of each line that is not empty, and its objects (several if it is a list), or what is wrong with it.

    Raises:
        CommandError: it is no such file.
    """
    number = 0
    while line := file.readline(LINE_MAX_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if line.strip() in (b"{", b"[") or (number == 1 and len(line) > LINE_MAX_BYTES):
            raise CommandError(
                f"{path.name}, line {number}: the file must have one JSON object per line; "
                "`jq -c .` writes an object in one line, `jq -c '.[]'` a list as one line for each object"
            )
        if len(line) > LINE_MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_MAX_BYTES)
            yield number, BrokenRecord(f"is longer than {LINE_MAX_BYTES // 2**20} MB")
        elif line.strip():
            yield number, _parse(line)


def _parse(line: bytes) -> list[dict[str, Any]] | BrokenRecord:
    try:
        found = orjson.loads(line)
    except ValueError:
        try:
            # It accepts what strict parsers refuse, such as half of a character in a text that was cut off.
            found = json.loads(line)
        except (ValueError, RecursionError):
            return BrokenRecord("is not JSON")
    found = found if isinstance(found, list) else [found]
    return found if all(isinstance(each, dict) for each in found) else BrokenRecord("is not a JSON object")
