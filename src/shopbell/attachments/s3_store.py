"""A store in a bucket of an S3-compatible service."""

import io
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import BaseError, NotFoundError

from shopbell.attachments.s3_bucket import PART_BYTES, PARTS_AT_ONCE, S3Access, open_bucket
from shopbell.attachments.store import CHUNK_BYTES, Incoming, Store
from shopbell.errors import StorageError
from shopbell.settings.locations import BucketLocation
from shopbell.settings.settings import Settings


def attachments_access(settings: Settings) -> S3Access:
    """How to reach the service that the settings name for attachments."""
    return S3Access(
        settings.attachments_s3_endpoint,
        settings.attachments_s3_region,
        settings.attachments_s3_access_key_id,
        settings.attachments_s3_secret_access_key,
    )


class S3Store(Store):
    """A bucket. A file is sent to it when it is complete here, so that slow clients keep no connections to it open.

    Args:
        settings: say how to reach the service.
        location: the place in the bucket.
    """

    def __init__(self, settings: Settings, location: BucketLocation) -> None:
        super().__init__()
        self._location = location
        self._bucket = open_bucket(attachments_access(settings), location, response_timeout=timedelta(hours=1))

    async def keep(self, incoming: Incoming, name: str) -> None:
        """Upload it, in parts if it is large."""
        incoming.file.seek(0)
        with _as_storage_error():
            await obstore.put_async(
                self._bucket, name, incoming.file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )

    async def read(self, name: str) -> AsyncIterator[bytes] | None:
        """Download it and pass it on in pieces."""
        with _as_storage_error():
            try:
                found = await obstore.get_async(self._bucket, name)
            except (NotFoundError, FileNotFoundError):
                return None
        return _pieces(found)

    async def delete(self, name: str) -> None:
        """Delete it."""
        with _as_storage_error(), suppress(NotFoundError, FileNotFoundError):
            await obstore.delete_async(self._bucket, name)

    async def check(self) -> str:
        """Upload a small object and delete it."""
        name = f"doctor-{uuid.uuid4()}"
        with _as_storage_error():
            await obstore.put_async(self._bucket, name, io.BytesIO(b"Shopbell's doctor was here.\n"))
            await obstore.delete_async(self._bucket, name)
        return str(self._location)

    def _new_file(self) -> BinaryIO:
        return cast("BinaryIO", tempfile.TemporaryFile())  # deleted when _discard closes it

    def _discard(self, file: BinaryIO) -> None:
        file.close()


async def _pieces(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    with _as_storage_error():
        async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(piece)


@contextmanager
def _as_storage_error() -> Iterator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        # Its text may contain signed URLs and responses.
        raise StorageError(f"the attachment store failed ({type(error).__name__})") from None
