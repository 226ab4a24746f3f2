"""The attachment store on a real S3 service."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.attachment_stores import put, read, store_settings
from harness.ports import free_port
from harness.s3 import S3
from shopbell.attachments.open_store import open_store
from shopbell.errors import StorageError


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A service for all tests of this file."""
    service = S3(tmp_path_factory.mktemp("s3"))
    service.start()
    yield service
    service.stop()


def test_every_object_in_the_bucket_has_the_prefix(s3: S3, tmp_path: Path) -> None:
    store = open_store(store_settings(tmp_path, **s3.settings))
    assert store is not None
    asyncio.run(put(store, "7/in-its-place", b"x"))
    assert "<Key>kept/here/7/in-its-place</Key>" in s3.listing()
    assert asyncio.run(store.check()) == "s3://files/kept/here"
    assert "doctor" not in s3.listing()
    store.close()


def test_an_unreachable_s3_service_is_a_storage_error_without_secrets(s3: S3, tmp_path: Path) -> None:
    given = s3.settings | {"attachments_s3_endpoint": f"http://127.0.0.1:{free_port()}"}
    store = open_store(store_settings(tmp_path, **given))
    assert store is not None
    for attempt in (put(store, "1/x", b"x"), read(store, "1/x"), store.delete("1/x"), store.check()):
        with pytest.raises(StorageError) as failure:
            asyncio.run(attempt)
        assert "key" not in str(failure.value).lower()
        assert "http" not in str(failure.value)
    store.close()


def test_a_missing_bucket_is_not_reported_as_a_missing_file(s3: S3, tmp_path: Path) -> None:
    store = open_store(store_settings(tmp_path, **s3.settings | {"attachments_url": "s3://another-bucket"}))
    assert store is not None
    for attempt in (put(store, "1/x", b"x"), store.check()):
        with pytest.raises(StorageError):
            asyncio.run(attempt)
    store.close()
