"""Define and load the settings of a process.

Settings come from environment variables (``SHOPBELL_…``) and from a TOML file: ``shopbell.toml`` in the working
directory, or the file that ``--config`` or ``SHOPBELL_CONFIG`` names. Keys in the file are in lower case and have no
prefix. Environment variables override the file. ``make settings`` generates ``docs/settings.md`` from the fields.
"""

import os
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy.engine import URL

from shopbell.errors import SettingsError
from shopbell.settings import sources
from shopbell.settings.backups import BackupSettings
from shopbell.settings.database_urls import IS_DATABASE_URL, parse_database_url
from shopbell.settings.extras import NEEDS_NATS, NEEDS_S3
from shopbell.settings.inbound_mail import MailListenerSettings
from shopbell.settings.mailbox import MailboxSettings
from shopbell.settings.monitoring import MonitoringSettings
from shopbell.settings.networks import Network, parse_networks
from shopbell.settings.oidc import OidcSettings
from shopbell.settings.sms import SmsSettings
from shopbell.settings.sources import CONFIG, PREFIX
from shopbell.settings.urls import IS_BASE_URL

SECRET_KEY_MIN_BYTES = 32


class Settings(SmsSettings, MailListenerSettings, MailboxSettings, OidcSettings, MonitoringSettings, BackupSettings):
    """The settings of one process; read at startup and then immutable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: Annotated[str, IS_DATABASE_URL] = Field(
        "sqlite:///data/shopbell.db",
        description="Database URL: `sqlite:////absolute/path` or `postgresql://user:password@host/name`, with "
        "several hosts if there are replicas. PostgreSQL needs the extra `postgres`.",
    )
    database_direct_url: Annotated[str | None, IS_DATABASE_URL] = Field(
        None,
        description="URL that reaches the same database without a connection pooler. Required if SHOPBELL_DATABASE_URL "
        "goes through a pooler such as PgBouncer. Notifications, locks and backups use it.",
    )
    sqlite_cache_mb: int = Field(
        8,
        ge=1,
        le=16_384,
        description="Page cache of each SQLite connection, in MB. A larger one does not store messages faster, because "
        "the operating system caches the file too.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Secret string of at least 32 bytes, from which Shopbell derives all keys. Required with "
        "PostgreSQL. With SQLite, Shopbell generates one if unset and stores it next to the database.",
    )
    secret_key_old: SecretStr | None = Field(
        None, description="Previous secret key. While it is set, everything created with it remains valid."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port to listen on. 0 picks a free port.")
    workers: int = Field(
        1, ge=1, le=64, description="Number of server processes that share the port. More than one requires PostgreSQL."
    )
    public_url: Annotated[AnyHttpUrl | None, IS_BASE_URL] = Field(
        None, description="Public URL of this server. If unset, Shopbell uses the URL of each request."
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks (CIDR) of the proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` headers Shopbell trusts.",
    )
    rate_limit_per_s: int = Field(
        100, ge=1, le=1_000_000, description="Sustained requests per second of one API token, per server process."
    )
    rate_limit_burst: int = Field(
        200, ge=1, le=1_000_000, description="Maximum burst of requests of one API token, per server process."
    )
    visitor_rate_per_min: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="Maximum messages per minute from customers' browsers at one network address, per server process. "
        "They may start a third as many conversations per minute and keep four times as many streams open.",
    )
    customer_digests: Literal["any", "hmac-sha256"] = Field(
        "any",
        description="Digests that apps may use to prove which customer they act for. `hmac-sha256` rejects SHA-1 "
        "digests, because one SHA-1 digest can be valid for several pairs of nonce and customer.",
    )
    body_limit_bytes: int = Field(
        262_144,
        ge=1_024,
        le=67_108_864,
        description="Maximum size of a request body. Larger requests get a 413 response.",
    )
    header_limit_bytes: int = Field(
        16_384,
        ge=1_024,
        le=1_048_576,
        description="Maximum size of the request line and headers together. Larger requests get a 431 response.",
    )
    header_count_limit: int = Field(
        100, ge=10, le=1_000, description="Maximum number of headers of a request. More get a 431 response."
    )
    header_timeout_s: float = Field(10, gt=0, le=300, description="Timeout to receive the headers of a request.")
    body_timeout_s: float = Field(
        20, gt=0, le=300, description="Timeout to receive the body of a request. Later requests get a 408 response."
    )
    keep_alive_timeout_s: int = Field(
        75, ge=1, le=3_600, description="Idle time after which the server closes a connection."
    )
    connection_limit: int = Field(
        10_000, ge=16, le=1_000_000, description="Maximum open connections of one process. More get a 503 response."
    )
    queue_limit: int = Field(
        4_096, ge=1, le=1_000_000, description="Maximum messages that wait for a commit. More get a 503 response."
    )
    batch_limit: int = Field(512, ge=1, le=4_096, description="Maximum messages in one commit.")
    write_timeout_s: float = Field(
        8,
        gt=0,
        le=60,
        description="Timeout of a write, including its wait in the queue. Slower requests get a 503 response.",
    )
    shutdown_timeout_s: int = Field(
        8, ge=1, le=300, description="Time that open requests have to finish after SIGTERM."
    )
    drain_delay_s: float = Field(
        0,
        ge=0,
        le=300,
        description="How long the server still accepts connections after SIGTERM. `/readyz` returns 503 during this "
        "time, so that a load balancer stops sending requests.",
    )
    run_worker: bool = Field(
        True,
        description="Whether `serve` also starts a process that delivers webhooks, emails, text messages and scheduled "
        "messages. Set it to `false` if `shopbell worker` runs separately.",
    )
    nats_url: Annotated[SecretStr | None, NEEDS_NATS] = Field(
        None,
        description="URL of a NATS server (`nats://user:password@host:4222`) that notifies the other processes. If "
        "unset, Shopbell uses PostgreSQL's `NOTIFY`. Needs the extra `nats`.",
    )
    poll_interval_s: float = Field(
        1,
        gt=0,
        le=2,
        description="Interval at which a process checks for new work, in case a notification was lost.",
    )
    outbound_allow: str = Field(
        "",
        description="Comma-separated `host:port` or networks (CIDR) that Shopbell may reach even if they are private, "
        "also over plain HTTP: webhooks, the OpenID Connect provider, the token endpoint of the mailbox, and Twilio's "
        "redirects to contacts. Example for development: `127.0.0.1:9000`.",
    )
    delivery_schedule_s: Annotated[tuple[float, ...], NoDecode] = Field(
        (0, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400, 86_400, 86_400),
        description="Comma-separated delays before each attempt to deliver a webhook. The first delay starts at the "
        "event.",
    )
    delivery_jitter: float = Field(
        0.2, ge=0, le=0.9, description="Random variation of each of these delays, as a fraction of the delay."
    )
    delivery_dns_timeout_s: float = Field(3, gt=0, le=60, description="Timeout of the DNS lookup of a receiver.")
    delivery_connect_timeout_s: float = Field(5, gt=0, le=60, description="Timeout to connect to a receiver.")
    delivery_timeout_s: float = Field(15, gt=0, le=300, description="Timeout of a whole attempt, in wall-clock time.")
    delivery_lease_s: float = Field(
        30,
        gt=0,
        le=3_600,
        description="Time after which another worker takes over the delivery of a worker that died. If the clocks of "
        "two machines differ by more than this minus SHOPBELL_DELIVERY_TIMEOUT_S, deliveries may be sent twice.",
    )
    delivery_order_wait_s: float = Field(
        3_600,
        ge=0,
        le=604_800,
        description="How long later events of a conversation wait for an event whose delivery fails.",
    )
    deliveries_per_webhook: int = Field(8, ge=1, le=1_000, description="Maximum concurrent deliveries to one webhook.")
    deliveries_per_worker: int = Field(64, ge=1, le=10_000, description="Maximum concurrent deliveries of one worker.")
    delivery_log_days: int = Field(30, ge=1, le=3_650, description="Days that Shopbell keeps deliveries and their log.")
    webhook_failure_days: float = Field(
        5, gt=0, le=365, description="Days without a successful delivery after which Shopbell disables a webhook."
    )
    webhook_failure_attempts: int = Field(
        20, ge=1, le=10_000, description="Minimum failed attempts before Shopbell disables a webhook."
    )
    attachments_url: Annotated[str, NEEDS_S3] = Field(
        "",
        description="Where Shopbell stores attachments: `file:///absolute/folder` or `s3://bucket/prefix`. If unset, a "
        "folder next to the SQLite file. S3 needs the extra `s3`.",
    )
    attachments_s3_endpoint: Annotated[AnyHttpUrl | None, IS_BASE_URL] = Field(
        None, description="URL of an S3-compatible service. If unset, Amazon S3."
    )
    attachments_s3_region: str = Field("us-east-1", description="Region of the S3 bucket.")
    attachments_s3_access_key_id: SecretStr | None = Field(None, description="Access key of the S3 bucket.")
    attachments_s3_secret_access_key: SecretStr | None = Field(None, description="Secret key of the S3 bucket.")
    attachment_limit_bytes: int = Field(
        20_971_520,
        ge=1_024,
        le=5_368_709_120,
        description="Maximum size of an attachment. Larger files get a 413 response.",
    )
    attachment_quota_bytes: int = Field(
        10_737_418_240,
        ge=1_024,
        le=1_125_899_906_842_624,
        description="Maximum total size of the files that an organization and its customers upload per day (UTC), "
        "including attached files. Customers may use half of it. Further uploads get a 429 response.",
    )
    attachment_quota_per_address_bytes: int = Field(
        268_435_456,
        ge=1_024,
        le=1_125_899_906_842_624,
        description="Maximum total size of the files that customers at one network address may upload to an "
        "organization per day. Further uploads get a 429 response.",
    )
    attachment_quota_per_session_bytes: int = Field(
        104_857_600,
        ge=1_024,
        le=1_125_899_906_842_624,
        description="Maximum total size of the files that one customer's browser or app may upload per day, or that "
        "one conversation may receive by email per day. Further uploads get a 429 response; an email is stored without "
        "its files.",
    )
    attachment_types: str = Field(
        "image/*, audio/*, video/*, text/plain, text/csv, application/pdf, application/zip, "
        "application/vnd.openxmlformats-officedocument.*",
        description="Comma-separated media types that attachments may have. Shopbell detects the type from the "
        "content.",
    )
    attachment_link_s: int = Field(3_600, ge=60, le=604_800, description="How long a link to an attachment is valid.")

    @property
    def url(self) -> URL:
        """The database URL, with the driver that Shopbell uses."""
        return parse_database_url(self.database_url)

    @property
    def direct_url(self) -> URL | None:
        """The database URL that bypasses the connection pooler; None without one."""
        return None if self.database_direct_url is None else parse_database_url(self.database_direct_url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The absolute path of the SQLite file."""
        return Path(self.url.database or "").absolute()

    @field_validator("secret_key", "secret_key_old")
    @classmethod
    def _check_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SECRET_KEY_MIN_BYTES:
            raise ValueError(
                f"must have at least {SECRET_KEY_MIN_BYTES} bytes; run `openssl rand -hex 32` to create one"
            )
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse_trusted_proxies(cls, value: object) -> object:
        return parse_networks(value)

    @field_validator("delivery_schedule_s", mode="before")
    @classmethod
    def _parse_delivery_schedule(cls, value: object) -> object:
        try:
            delays_s = tuple(float(delay) for delay in (value.split(",") if isinstance(value, str) else value))  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            raise ValueError("must be seconds, separated by commas") from None
        if not delays_s or not all(0 <= delay_s <= 604_800 for delay_s in delays_s):
            raise ValueError("must be one or more numbers of seconds from 0 to 604800")
        return delays_s

    @model_validator(mode="after")
    def _check_postgresql_requirements(self) -> Self:
        if self.is_sqlite and self.workers > 1:
            raise ValueError("SHOPBELL_WORKERS: more than one worker requires PostgreSQL")
        if not self.is_sqlite and self.secret_key is None:
            raise ValueError(
                "SHOPBELL_SECRET_KEY is required with PostgreSQL; run `openssl rand -hex 32` to create one"
            )
        return self

    @model_validator(mode="after")
    def _check_pooler_requirements(self) -> Self:
        if self.direct_url is None:
            return self
        if self.is_sqlite or self.direct_url.get_backend_name() == "sqlite":
            raise ValueError("SHOPBELL_DATABASE_DIRECT_URL: only works with PostgreSQL")
        if "options" in self.url.query:
            raise ValueError(
                "SHOPBELL_DATABASE_URL: a connection pooler does not pass on 'options'; set them in PostgreSQL with "
                "ALTER ROLE … SET"
            )
        return self

    @model_validator(mode="after")
    def _check_twilio_requirements(self) -> Self:
        if self.sms_provider == "twilio" and self.public_url is None:
            raise ValueError("SHOPBELL_PUBLIC_URL is required with SHOPBELL_SMS_PROVIDER=twilio")
        return self

    @model_validator(mode="after")
    def _check_lease_outlives_attempt(self) -> Self:
        if self.delivery_lease_s <= self.delivery_timeout_s:
            raise ValueError("SHOPBELL_DELIVERY_LEASE_S: must be longer than SHOPBELL_DELIVERY_TIMEOUT_S")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments override environment variables, which override the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, sources.file())


def load(**given: object) -> Settings:
    """Load the settings of this process.

    Args:
        given: settings from the command line, by field name; they override all other sources.

    Raises:
        SettingsError: a value is invalid. One line per error names the setting and what it accepts, never the value.
    """
    if os.environ.get(CONFIG) and not sources.file().is_file():
        raise SettingsError(f"{CONFIG}: the file that this variable or --config names does not exist")
    return load_without_file(**given)


def load_without_file(**given: object) -> Settings:
    """As ``load``, but the file that ``SHOPBELL_CONFIG`` names need not exist yet."""
    try:
        lines = list(sources.unknown_names(Settings.model_fields))
        settings = Settings(**given)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        lines += [_line(detail["loc"], detail["msg"], given) for detail in error.errors()]
    except ValueError as error:  # the TOML file cannot be parsed
        raise SettingsError(f"{sources.file()}: {error}") from None
    if lines:
        raise SettingsError("\n".join(lines))
    return settings


def unknown_variables() -> list[str]:
    """List a warning for each environment variable that starts like a setting but is none."""
    known = {CONFIG, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)}
    found = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"unknown setting {name}{_suggestion(name.upper(), known)}" for name in found]


def _suggestion(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""


def _line(location: tuple[int | str, ...], message: str, given: Collection[str]) -> str:
    text = message.removeprefix("Value error, ")
    return f"{sources.place(str(location[0]), given)}: {text}" if location else text
