"""Places where backups are kept: a folder, or a bucket of an S3-compatible service."""

import os
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shopbell.errors import CommandError
from shopbell.security.files import owner_only, publish
from shopbell.settings.extras import require_extra
from shopbell.settings.locations import BucketLocation
from shopbell.settings.settings import Settings

if TYPE_CHECKING:
    from shopbell.attachments.s3_bucket import S3Access

_CHECK_TEXT = b"Shopbell's doctor was here.\n"
_RESPONSE_TIMEOUT = timedelta(days=1)
_PARTS_MAX = 10_000
"""The number of parts of an upload that S3 allows."""


class Target(ABC):
    """A place of complete files.

    All methods block, and raise ``CommandError`` or ``OSError`` if the place cannot be reached.

    Args:
        kind: its kind, for a metric.
        work_folder: where files are written before they are stored.
    """

    kind: Literal["folder", "s3"]

    def __init__(self, work_folder: Path) -> None:
        self.work_folder = work_folder

    @abstractmethod
    def address(self, name: str) -> str:
        """Where a file is: a path or a URL, without secrets."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files there."""

    @abstractmethod
    def store(self, file: Path, name: str) -> None:
        """Move a file there under a new name, completely or not at all."""

    @abstractmethod
    def fetch(self, name: str, folder: Path) -> Path:
        """Return a path at which the file can be read: in ``folder`` if the place is not on this machine."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file."""

    @abstractmethod
    def check(self) -> None:
        """Check that files can be stored."""


class FolderTarget(Target):
    """A folder, which must exist: the disk that belongs there may be missing."""

    kind = "folder"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def address(self, name: str) -> str:
        return str(self._folder / name)

    def names(self) -> list[str]:
        self._require()
        return [path.name for path in self._folder.iterdir() if path.is_file() and not path.is_symlink()]

    def store(self, file: Path, name: str) -> None:
        publish(file, self._folder / name)
        file.unlink(missing_ok=True)

    def fetch(self, name: str, folder: Path) -> Path:  # noqa: ARG002 - it is on this machine
        path = self._folder / name
        with path.open("rb") as file:
            # What is read then comes from the disk, and not from what was written into memory.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return path

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def check(self) -> None:
        self._require()
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".shopbell-"):
            pass

    def _require(self) -> None:
        if not self._folder.is_dir():
            raise CommandError(f"there is no folder {self._folder}; create it, or mount its disk")


class BucketTarget(Target):
    """A place in a bucket. Files are sent and received in parts, so that they take little memory."""

    kind = "s3"

    def __init__(self, access: "S3Access", location: BucketLocation, work_folder: Path) -> None:
        super().__init__(work_folder)
        from shopbell.attachments import s3_bucket  # an extra

        self._location = location
        self._parts = s3_bucket
        self._bucket = s3_bucket.open_bucket(access, location, response_timeout=_RESPONSE_TIMEOUT)

    def address(self, name: str) -> str:
        return f"{self._location}/{name}"

    def names(self) -> list[str]:
        import obstore

        with self._as_command_error():
            found = obstore.list_with_delimiter(self._bucket)
            # The paths of a bucket with a prefix begin behind the prefix.
            return [each["path"] for each in found["objects"]]

    def store(self, file: Path, name: str) -> None:
        import obstore

        part_bytes = max(self._parts.PART_BYTES, -(-file.stat().st_size // (_PARTS_MAX - 1)))
        with self._as_command_error():
            obstore.put(self._bucket, name, file, chunk_size=part_bytes, max_concurrency=self._parts.PARTS_AT_ONCE)
        file.unlink()

    def fetch(self, name: str, folder: Path) -> Path:
        import obstore

        with self._as_command_error(), open(folder / name, "xb", opener=owner_only) as file:
            file.writelines(obstore.get(self._bucket, name).stream(min_chunk_size=self._parts.PART_BYTES))
        return folder / name

    def delete(self, name: str) -> None:
        import obstore

        with self._as_command_error():
            obstore.delete(self._bucket, name)

    def check(self) -> None:
        import obstore

        name = f"doctor-{uuid.uuid4()}"
        with self._as_command_error():
            obstore.put(self._bucket, name, _CHECK_TEXT)
            obstore.delete(self._bucket, name)

    @contextmanager
    def _as_command_error(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            # Its text may contain signed URLs and responses.
            raise CommandError(
                f"{self._location} failed ({type(error).__name__}); check the bucket, the credentials and the "
                "SHOPBELL_BACKUP_S3_… settings"
            ) from None


@contextmanager
def fetched(settings: Settings, location: BucketLocation) -> Iterator[Path]:
    """Download a file from a bucket; it exists until the block ends.

    Raises:
        CommandError: the bucket has no such file, or cannot be reached.
    """
    folder, _, name = location.prefix.rpartition("/")
    target = open_target(settings, BucketLocation(location.bucket, folder))
    with tempfile.TemporaryDirectory(prefix=".shopbell-", dir=target.work_folder) as unfinished:
        yield target.fetch(name, Path(unfinished))


def open_target(settings: Settings, place: Path | BucketLocation) -> Target:
    """Open a place of backups, without accessing it yet.

    Raises:
        CommandError: it is in a bucket, and the extra is not installed.
    """
    if isinstance(place, Path):
        return FolderTarget(place.absolute())
    try:
        require_extra("s3")
    except ValueError as error:
        raise CommandError(f"{place}: {error}") from None
    return BucketTarget(_access(settings), place, temporary_folder(settings))


def temporary_folder(settings: Settings) -> Path:
    """A folder for large temporary files: that of the SQLite file, or the system's."""
    return settings.sqlite_path.absolute().parent if settings.is_sqlite else Path(tempfile.gettempdir())


def _access(settings: Settings) -> "S3Access":
    from shopbell.attachments.s3_bucket import S3Access  # an extra
    from shopbell.attachments.s3_store import attachments_access

    own = (
        settings.backup_s3_endpoint,
        settings.backup_s3_region,
        settings.backup_s3_access_key_id,
        settings.backup_s3_secret_access_key,
    )
    if not any(own):
        return attachments_access(settings)
    endpoint, region, *credentials = own
    return S3Access(endpoint, region or "us-east-1", *credentials)
