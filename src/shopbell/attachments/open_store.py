"""Opens the store of attachments that the settings name."""

from pathlib import Path

from shopbell.attachments.disk_store import DiskStore
from shopbell.attachments.store import Store
from shopbell.errors import SettingsError
from shopbell.settings.locations import parse_location
from shopbell.settings.settings import Settings

_WRONG = (
    "SHOPBELL_ATTACHMENTS_URL: must look like file:///absolute/folder or s3://bucket/prefix, or be absent; "
    "without it attachments are kept next to the SQLite file"
)


def open_store(settings: Settings) -> Store | None:
    """Open the store of attachments, without accessing it yet.

    Returns:
        The store. None with PostgreSQL and no URL: other machines cannot read a folder of this one.

    Raises:
        SettingsError: the URL is not valid.
    """
    if not settings.attachments_url:
        return DiskStore(settings.sqlite_path.with_name("attachments")) if settings.is_sqlite else None
    try:
        location = parse_location(settings.attachments_url)
    except ValueError:
        raise SettingsError(_WRONG) from None
    if isinstance(location, Path):
        return DiskStore(location)
    from shopbell.attachments.s3_store import S3Store

    return S3Store(settings, location)
