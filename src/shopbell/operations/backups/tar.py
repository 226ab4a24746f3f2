"""Write and check backup files: a plain tar in which every flipped bit is detected.

Members, in this order:

- ``manifest.json`` describes the backup and has the size and SHA-256 of each part.
- ``manifest.sha256`` has the SHA-256 of the manifest.
- The parts: the database, and optionally the secret key and the attachments.

Headers contain only a name and a size, and padding contains only zeros.
"""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Self

import orjson
from pydantic import Field, TypeAdapter

from shopbell.errors import CommandError
from shopbell.security.files import owner_only

FORMAT = 1
MANIFEST = "manifest.json"
CHECKSUM = "manifest.sha256"
NOT_WHOLE = "the file is not a complete Shopbell backup; nothing was changed"
MANIFEST_MAX_BYTES = 65_536

_Text = Annotated[str, Field(pattern=r"^[ -~]{1,200}$")]  # safe to print to a terminal
_Number = Annotated[int, Field(ge=0)]


class DamagedError(Exception):
    """The file is not what ``write`` writes."""


@dataclass(frozen=True, slots=True)
class Member:
    """One part of a backup; its name never contains a path."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+\.[a-z0-9]+$")]
    size_bytes: _Number
    sha256: _Text


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a backup; ``revision`` is the schema revision of its database."""

    shopbell: _Text
    engine: _Text
    engine_version: _Text
    revision: _Text | None
    created_at_ms: _Number
    members: tuple[Member, ...]
    format: int = FORMAT

    def as_bytes(self) -> bytes:
        """Return the content of ``manifest.json``."""
        return orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class PlainHeader(tarfile.TarInfo):
    """A header that ``write`` could have written; others (links, long names, owners) are refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        require(buf == _header(header.name, header.size).tobuf(tarfile.GNU_FORMAT))
        return header


def describe(part: Path) -> Member:
    """Return the name, size and hash of a file."""
    with part.open("rb") as content:
        return Member(part.name, part.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest())


def write(target: Path, manifest: Manifest, parts: Sequence[Path]) -> str:
    """Write a backup that only its owner can read, and sync it to the disk.

    Args:
        target: a file that does not exist yet.
        manifest: describes the backup.
        parts: the files that the manifest's members describe, in the same order.

    Returns:
        The SHA-256 of the whole file, in hexadecimal.
    """
    head = manifest.as_bytes()
    with open(target, "xb", opener=owner_only) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, content in ((MANIFEST, head), (CHECKSUM, _checksum(head))):
                archive.addfile(_header(name, len(content)), io.BytesIO(content))
            for part, member in zip(parts, manifest.members, strict=True):
                with part.open("rb") as opened:
                    archive.addfile(_header(member.name, member.size_bytes), opened)
        file.flush()
        os.fsync(file.fileno())
    return describe(target).sha256


def extract(file: Path, folder: Path) -> Manifest:
    """Write the parts of a backup to a folder and check every bit of the backup.

    Args:
        file: the backup.
        folder: an empty folder for the parts.

    Raises:
        CommandError: the file is not a backup, is incomplete, or has a newer format.
    """
    try:
        with file.open("rb") as source, tarfile.open(fileobj=source, mode="r:", tarinfo=PlainHeader) as archive:
            manifest = _manifest(archive, source)
            for member in manifest.members:
                with open(folder / member.name, "xb", opener=owner_only) as part:
                    _next(archive, source, member.name, member.size_bytes, into=part)
                    part.flush()
                    os.fsync(part.fileno())
                require(describe(folder / member.name) == member)
            end = 2 * tarfile.BLOCKSIZE
            end += -(source.tell() + end) % tarfile.RECORDSIZE
            require(source.read(end + 1) == bytes(end))
            return manifest
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}") from None
    except (DamagedError, FileExistsError, tarfile.TarError, ValueError, KeyError, TypeError):  # exists: a name twice
        raise CommandError(NOT_WHOLE) from None


def _header(name: str, size_bytes: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size_bytes, 0o600
    return header


def _checksum(head: bytes) -> bytes:
    return hashlib.sha256(head).hexdigest().encode()


def require(is_sound: bool) -> None:
    """Raise DamagedError unless the file is what it should be."""
    if not is_sound:
        raise DamagedError


def _manifest(archive: tarfile.TarFile, source: IO[bytes]) -> Manifest:
    head = _next(archive, source, MANIFEST, MANIFEST_MAX_BYTES)
    require(_next(archive, source, CHECKSUM, MANIFEST_MAX_BYTES) == _checksum(head))
    if orjson.loads(head)["format"] != FORMAT:
        raise CommandError("the backup is from a newer version of Shopbell; nothing was changed")
    return TypeAdapter(Manifest).validate_json(head, strict=True)


def _next(
    archive: tarfile.TarFile, source: IO[bytes], name: str, max_bytes: int, *, into: IO[bytes] | None = None
) -> bytes:
    """Copy the next member to ``into``, or return it; leave ``source`` behind its padding."""
    header = archive.next()
    if header is None or header.name != name or not 0 <= header.size <= max_bytes:
        raise DamagedError
    content = archive.extractfile(header)
    if content is None:
        raise DamagedError
    small = io.BytesIO()
    shutil.copyfileobj(content, into or small, 1024 * 1024)
    source.seek(header.offset_data + header.size)
    require(not any(source.read(-header.size % tarfile.BLOCKSIZE)))
    return small.getvalue()
