"""A bucket of an S3-compatible service as a store."""

import io
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, BinaryIO, cast

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store as Bucket

from shopbell.blobs.store import CHUNK_BYTES, Incoming, Store
from shopbell.errors import StorageError
from shopbell.settings import Settings

_PART_BYTES = 8 * 1_048_576
_PARTS_AT_ONCE = 2
_RETRIES = 3
_RETRY_S = 15


class S3Store(Store):
    """A bucket. A file goes there when all of it has arrived here: a slow client keeps no connection to it open.

    Args:
        settings: endpoint, region and credentials; those that are absent come from the environment, as usual there.
        bucket: the bucket's name.
        prefix: stands before every name; may be empty.
    """

    def __init__(self, settings: Settings, bucket: str, prefix: str) -> None:
        super().__init__()
        self._address = f"s3://{bucket}/{prefix}".rstrip("/")
        config: dict[str, Any] = {
            "region": settings.attachments_s3_region,
            "virtual_hosted_style_request": False,
            "disable_bulk_delete": True,
        }
        if settings.attachments_s3_endpoint is not None:
            config["endpoint"] = str(settings.attachments_s3_endpoint).rstrip("/")
        if settings.attachments_s3_access_key_id is not None:
            config["access_key_id"] = settings.attachments_s3_access_key_id.get_secret_value()
        if settings.attachments_s3_secret_access_key is not None:
            config["secret_access_key"] = settings.attachments_s3_secret_access_key.get_secret_value()
        self._bucket = Bucket(
            bucket,
            prefix=prefix or None,
            config=cast("Any", config),
            client_options={
                "allow_http": config.get("endpoint", "").startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "read_timeout": timedelta(seconds=30),
                # Of a whole answer: it may be long, and whoever it is for may be slow.
                "timeout": timedelta(hours=1),
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_S)},
        )

    async def keep(self, incoming: Incoming, name: str) -> None:
        """Put it there, in parts when it is large."""
        incoming.file.seek(0)
        with _as_storage_error():
            await obstore.put_async(
                self._bucket, name, incoming.file, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )

    async def read(self, name: str) -> AsyncIterator[bytes] | None:
        """Ask for it, and give it on as it comes."""
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
        """Put a small object there, and delete it again."""
        name = f"doctor-{uuid.uuid4()}"
        with _as_storage_error():
            await obstore.put_async(self._bucket, name, io.BytesIO(b"Shopbell's doctor was here.\n"))
            await obstore.delete_async(self._bucket, name)
        return self._address

    def _new_file(self) -> BinaryIO:
        return cast("BinaryIO", tempfile.TemporaryFile())  # gone when _discard closes it

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
        # Its text may quote what was sent: addresses with signatures, and answers.
        raise StorageError(f"the attachment store failed ({type(error).__name__})") from None
