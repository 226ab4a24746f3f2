"""Settings for scheduled backups; ``Settings`` inherits them."""

import re
from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr
from pydantic_settings import BaseSettings

from shopbell.settings.extras import NEEDS_S3
from shopbell.settings.locations import BucketLocation, parse_location
from shopbell.settings.urls import IS_BASE_URL

KEEP = re.compile(r"(?=.)(?:([1-9][0-9]{0,3})d)?(?:([1-9][0-9]{0,3})w)?(?:([1-9][0-9]{0,3})m)?")
"""Which backups to keep: numbers of days, weeks and months, in this order; each may be absent, but not all."""
KEEP_WRONG = "must be numbers of days, weeks and months, such as 7d4w or 14d8w12m"


def parse_place(text: str) -> Path | BucketLocation:
    """Parse the place of backups: an absolute folder, ``file:///folder`` or ``s3://bucket/prefix``.

    Raises:
        ValueError: it is none of these.
    """
    if "://" not in text and Path(text).is_absolute():
        return Path(text)
    try:
        return parse_location(text)
    except ValueError:
        raise ValueError("must be an absolute folder such as /var/backups/shopbell, or s3://bucket/prefix") from None


def _check_place(value: str) -> str:
    if value:
        parse_place(value)
    return value


def _check_keep(value: str) -> str:
    if not KEEP.fullmatch(value):
        raise ValueError(KEEP_WRONG)
    return value


def _check_time(value: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("must be a time of day in UTC, from 00:00 to 23:59")
    return value


class BackupSettings(BaseSettings):
    """When and where a running server makes backups."""

    backup_to: Annotated[str, AfterValidator(_check_place), NEEDS_S3] = Field(
        "",
        description="Where Shopbell makes a backup each day: a folder such as `/var/backups/shopbell`, or "
        "`s3://bucket/prefix`. If unset, only `shopbell backup` makes backups. S3 needs the extra `s3`.",
    )
    backup_at: Annotated[str, AfterValidator(_check_time)] = Field(
        "03:00", description="Time of day in UTC at which Shopbell makes the backup."
    )
    backup_keep: Annotated[str, AfterValidator(_check_keep)] = Field(
        "7d4w",
        description="Which backups in SHOPBELL_BACKUP_TO Shopbell keeps: `7d4w` is the newest one of each of the last "
        "7 days and 4 weeks that have one. `m` stands for months.",
    )
    backup_s3_endpoint: Annotated[AnyHttpUrl | None, IS_BASE_URL] = Field(
        None,
        description="URL of the S3-compatible service for backups. If no SHOPBELL_BACKUP_S3_… setting is set, those "
        "for attachments apply.",
    )
    backup_s3_region: str | None = Field(None, description="Region of the bucket for backups.")
    backup_s3_access_key_id: SecretStr | None = Field(None, description="Access key of the bucket for backups.")
    backup_s3_secret_access_key: SecretStr | None = Field(None, description="Secret key of the bucket for backups.")

    @property
    def backup_time(self) -> time:
        """The time of day of the backup, in UTC."""
        return time.fromisoformat(self.backup_at)
