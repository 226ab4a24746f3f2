"""The choice of a store, by the settings."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from shopbell.blobs.disk import DiskStore
from shopbell.blobs.store import Store
from shopbell.errors import SettingsError
from shopbell.settings import Settings

_WRONG = (
    "SHOPBELL_ATTACHMENTS_URL: must look like file:///absolute/folder or s3://bucket/prefix, or be absent; "
    "without it attachments are kept beside the SQLite file"
)


def open_store(settings: Settings) -> Store | None:
    """Open the store of attachments; nothing is looked for, and nothing is made yet.

    Args:
        settings: say where it is.

    Returns:
        The store, or None with PostgreSQL and no address: a folder of one machine is not the others'.

    Raises:
        SettingsError: the address is wrong.
    """
    if not settings.attachments_url:
        return DiskStore(settings.sqlite_path.with_name("attachments")) if settings.is_sqlite else None
    try:
        url = urlsplit(settings.attachments_url)
    except ValueError:
        raise SettingsError(_WRONG) from None
    path = unquote(url.path)
    if url.query or url.fragment or "\0" in path:
        raise SettingsError(_WRONG)
    if url.scheme == "file" and not url.netloc and len(path) > 1:
        return DiskStore(Path(path))
    if url.scheme == "s3" and url.netloc and "@" not in url.netloc and ":" not in url.netloc:
        from shopbell.blobs.s3 import S3Store

        return S3Store(settings, url.netloc, path.strip("/"))
    raise SettingsError(_WRONG)
