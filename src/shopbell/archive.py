"""The file of a backup: a plain tar in which every bit is accounted for, so that a flipped one is always found.

    manifest.json       what the backup is, and size and SHA-256 of each part after it
    manifest.sha256     the SHA-256 of the manifest
    database.…          the parts

The headers hold nothing but name and size, padding is zeros: both are compared with what they must be.
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from shopbell.errors import CommandError
from shopbell.private_files import owner_only

FORMAT = 1
MANIFEST = "manifest.json"
CHECKSUM = "manifest.sha256"
NOT_WHOLE = "this is not a whole backup file of Shopbell; nothing was changed"
MANIFEST_MAX_BYTES = 65_536

_NAME = re.compile(r"[a-z0-9]+\.[a-z0-9]+")
_TEXT = re.compile(r"[ -~]{1,200}")
_CHUNK_BYTES = 1024 * 1024
_CHECKSUM_BYTES = 64
_BLOCK = tarfile.BLOCKSIZE


class _DamagedError(Exception):
    """The bytes are not those of a backup."""


@dataclass(frozen=True, slots=True)
class Member:
    """One part of a backup."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is. ``revision`` is the migrations' that its database is at."""

    shopbell: str
    engine: str
    engine_version: str
    revision: str | None
    created_at_ms: int
    members: tuple[Member, ...]

    def as_bytes(self) -> bytes:
        """As it stands in the file."""
        document = {
            "format": FORMAT,
            "shopbell": self.shopbell,
            "engine": self.engine,
            "engineVersion": self.engine_version,
            "revision": self.revision,
            "createdAt": self.created_at_ms,
            "members": [{"name": each.name, "bytes": each.size_bytes, "sha256": each.sha256} for each in self.members],
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def describe(part: Path) -> Member:
    """Name, size and hash of a file that is to be a part."""
    with part.open("rb") as content:
        return Member(part.name, part.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest())


def write(target: Path, manifest: Manifest, parts: Sequence[Path]) -> str:
    """Write a backup and sync it to the disk; only its owner may read it.

    Args:
        target: a file that does not exist.
        manifest: what it is.
        parts: the files that the manifest's members describe, in their order.

    Returns:
        The SHA-256 of the whole file, as hexadecimal digits.
    """
    head = manifest.as_bytes()
    check = hashlib.sha256(head).hexdigest().encode()
    with open(target, "xb", opener=owner_only) as file:
        for name, content in ((MANIFEST, head), (CHECKSUM, check)):
            _put(file, name, len(content), io.BytesIO(content))
        for part, member in zip(parts, manifest.members, strict=True):
            with part.open("rb") as opened:
                _put(file, member.name, member.size_bytes, opened)
        file.write(bytes(2 * _BLOCK))
        file.flush()
        os.fsync(file.fileno())
    return describe(target).sha256


def extract(file: Path, folder: Path) -> Manifest:
    """Check every bit of a backup while its parts are written to a folder.

    Args:
        file: the backup.
        folder: an empty folder; parts land there under names without any path.

    Returns:
        What the backup is.

    Raises:
        CommandError: it is not a backup, not whole, or of a newer format.
    """
    try:
        with file.open("rb") as source:
            manifest = _manifest(source)
            for member in manifest.members:
                _take(source, member, folder)
            _expect(source, bytes(2 * _BLOCK))
            _expect(source, b"", most_bytes=1)
            return manifest
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}") from None
    except (_DamagedError, tarfile.TarError, ValueError, KeyError, TypeError):
        raise CommandError(NOT_WHOLE) from None


def _header(name: str, size_bytes: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size_bytes, 0o600
    return header.tobuf(tarfile.GNU_FORMAT)


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % _BLOCK)


def _put(file: IO[bytes], name: str, size_bytes: int, content: IO[bytes]) -> None:
    file.write(_header(name, size_bytes))
    while chunk := content.read(_CHUNK_BYTES):
        file.write(chunk)
    file.write(_padding(size_bytes))


def _expect(source: IO[bytes], wanted: bytes, *, most_bytes: int | None = None) -> None:
    if source.read(len(wanted) if most_bytes is None else most_bytes) != wanted:
        raise _DamagedError


def _manifest(source: IO[bytes]) -> Manifest:
    block = source.read(_BLOCK)
    size_bytes = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
    if block != _header(MANIFEST, size_bytes) or size_bytes > MANIFEST_MAX_BYTES:
        raise _DamagedError
    content = source.read(size_bytes)
    _expect(source, _padding(size_bytes))
    _expect(source, _header(CHECKSUM, _CHECKSUM_BYTES))
    _expect(source, hashlib.sha256(content).hexdigest().encode() + _padding(_CHECKSUM_BYTES))
    document: dict[str, Any] = orjson.loads(content)
    if document["format"] != FORMAT:
        raise CommandError("this backup is of a newer version of Shopbell; nothing was changed")
    members = tuple(
        Member(_text(each["name"]), _number(each["bytes"]), _text(each["sha256"])) for each in document["members"]
    )
    return Manifest(
        shopbell=_text(document["shopbell"]),
        engine=_text(document["engine"]),
        engine_version=_text(document["engineVersion"]),
        revision=None if document["revision"] is None else _text(document["revision"]),
        created_at_ms=_number(document["createdAt"]),
        members=members,
    )


def _text(value: object) -> str:
    """A short text of one line: what a message may show."""
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise _DamagedError
    return value


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise _DamagedError
    return value


def _take(source: IO[bytes], member: Member, folder: Path) -> None:
    if not _NAME.fullmatch(member.name):
        raise _DamagedError  # whoever made this wanted to write elsewhere
    _expect(source, _header(member.name, member.size_bytes))
    digest, left_bytes = hashlib.sha256(), member.size_bytes
    with open(folder / member.name, "xb", opener=owner_only) as part:
        while left_bytes:
            chunk = source.read(min(left_bytes, _CHUNK_BYTES))
            if not chunk:
                raise _DamagedError
            digest.update(chunk)
            part.write(chunk)
            left_bytes -= len(chunk)
        part.flush()
        os.fsync(part.fileno())
    if digest.hexdigest() != member.sha256:
        raise _DamagedError
    _expect(source, _padding(member.size_bytes))
