"""Open a bucket of an S3-compatible service."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from obstore.store import S3Store as Bucket
from pydantic import AnyHttpUrl, SecretStr

from shopbell.settings.locations import BucketLocation

PART_BYTES = 8 * 1_048_576
"""The size of the parts of an upload. At most ``PARTS_AT_ONCE`` of them are in memory."""
PARTS_AT_ONCE = 2
_RETRIES = 3
_RETRY_S = 15


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach a service. Absent credentials come from the environment, as usual for S3.

    Args:
        endpoint: the URL of the service; None for Amazon S3.
    """

    endpoint: AnyHttpUrl | None
    region: str
    access_key_id: SecretStr | None
    secret_access_key: SecretStr | None


def open_bucket(access: S3Access, location: BucketLocation, *, response_timeout: timedelta) -> Bucket:
    """Open a bucket, without accessing it yet.

    Args:
        response_timeout: the timeout of a whole response: the file may be large and its reader slow.
    """
    config: dict[str, Any] = {
        "region": access.region,
        "virtual_hosted_style_request": False,
        "disable_bulk_delete": True,
    }
    if access.endpoint is not None:
        config["endpoint"] = str(access.endpoint).rstrip("/")
    if access.access_key_id is not None:
        config["access_key_id"] = access.access_key_id.get_secret_value()
    if access.secret_access_key is not None:
        config["secret_access_key"] = access.secret_access_key.get_secret_value()
    return Bucket(
        location.bucket,
        prefix=location.prefix or None,
        config=cast("Any", config),
        client_options={
            "allow_http": config.get("endpoint", "").startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=30),
            "timeout": response_timeout,
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_S)},
    )
