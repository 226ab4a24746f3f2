"""Extras: optional dependencies of the package, which some settings need."""

from importlib.util import find_spec

from pydantic import AfterValidator, AnyHttpUrl, SecretStr

MODULES = {"nats": "nats", "otel": "opentelemetry.sdk", "postgres": "psycopg", "s3": "obstore"}
"""The module that each extra of ``pyproject.toml`` installs."""


def require_extra(extra: str) -> None:
    """Check that an extra is installed.

    Args:
        extra: a key of ``MODULES``.

    Raises:
        ValueError: it is not; the message completes "SHOPBELL_NATS_URL: …" and has the command that installs it.
    """
    if find_spec(MODULES[extra]) is None:
        raise ValueError(f"needs the extra '{extra}', which is not installed; run `pip install 'shopbell[{extra}]'`")


def _check_nats_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        require_extra("nats")
    return value


def _check_location(value: str) -> str:
    if value.lower().startswith("s3:"):
        require_extra("s3")
    return value


def _check_traces_url(value: AnyHttpUrl | None) -> AnyHttpUrl | None:
    if value is not None:
        require_extra("otel")
    return value


NEEDS_NATS = AfterValidator(_check_nats_url)
NEEDS_S3 = AfterValidator(_check_location)
NEEDS_OTEL = AfterValidator(_check_traces_url)
