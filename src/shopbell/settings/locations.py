"""Places of files that settings name: a folder, or a bucket of an S3-compatible service."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class BucketLocation:
    """A place in a bucket; ``prefix`` begins every name there, and may be empty."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_location(text: str) -> Path | BucketLocation:
    """Parse ``file:///absolute/folder`` or ``s3://bucket/prefix``.

    Raises:
        ValueError: it is neither; also for an invalid IPv6 address.
    """
    url = urlsplit(text)
    path = unquote(url.path)
    if not (url.query or url.fragment or "\0" in path):
        if url.scheme == "file" and not url.netloc and len(path) > 1:
            return Path(path)
        if url.scheme == "s3" and url.netloc and "@" not in url.netloc and ":" not in url.netloc:
            return BucketLocation(url.netloc, path.strip("/"))
    raise ValueError("must look like file:///absolute/folder or s3://bucket/prefix")
