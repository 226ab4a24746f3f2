"""Every setting of Shopbell, once: its name, unit, range and one sentence.

A setting comes from the environment (``SHOPBELL_…``) or from a TOML file (``shopbell.toml`` in the working folder, or
the file that ``SHOPBELL_CONFIG`` names; keys without the prefix, in lower case). The environment wins.
``docs/settings.md`` is made from this file.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator
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

from shopbell.database_urls import parse_database_url
from shopbell.errors import SettingsError
from shopbell.mail_listener_settings import MailListenerSettings
from shopbell.networks import Network, parse_networks
from shopbell.text_settings import TextSettings

PREFIX = "SHOPBELL_"
SECRET_KEY_MIN_BYTES = 32


class Settings(TextSettings, MailListenerSettings):
    """The settings of one process, read once at its start and never changed after."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: str = Field(
        "sqlite:///data/shopbell.db",
        description="Where everything is kept, in SQLAlchemy's form: `sqlite:////absolute/path` or "
        "`postgresql://user:password@host/name`.",
    )
    database_direct_url: str | None = Field(
        None,
        description="Address of the same database past a connection pooler, needed when SHOPBELL_DATABASE_URL leads "
        "through one such as pgbouncer; wake-ups, locks and backups use it.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Any string of at least 32 bytes from which all keys are derived; with SQLite it is made and kept "
        "beside the database when absent, with PostgreSQL it is required.",
    )
    secret_key_old: SecretStr | None = Field(
        None, description="The former secret key, while changing it: what was made with it goes on working."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    workers: int = Field(
        1, ge=1, le=64, description="Server processes that share the port; more than one needs PostgreSQL."
    )
    public_url: AnyHttpUrl | None = Field(
        None, description="Address under which people reach this server; without it the request's own is used."
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks (CIDR) of proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` headers count.",
    )
    rate_limit_per_s: int = Field(
        100, ge=1, le=1_000_000, description="Requests per second that one token may sustain, per server process."
    )
    rate_limit_burst: int = Field(
        200, ge=1, le=1_000_000, description="Requests that one token may send at once, per server process."
    )
    visitor_rate_per_min: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="Messages per minute that customers' browsers of one network address may send, per server "
        "process; they may begin a third as many conversations, and have four times as many streams open.",
    )
    customer_digests: Literal["any", "hmac-sha256"] = Field(
        "any",
        description="By which digests an app proves for which customer it speaks; `hmac-sha256` refuses SHA-1, whose "
        "digests fit more than one nonce and customer.",
    )
    body_limit_bytes: int = Field(
        262_144, ge=1_024, le=67_108_864, description="Largest request body; above it the answer is 413."
    )
    header_limit_bytes: int = Field(
        16_384,
        ge=1_024,
        le=1_048_576,
        description="Largest request line and headers together; above it the answer is 431.",
    )
    header_count_limit: int = Field(100, ge=10, le=1_000, description="Most header fields of a request; above it 431.")
    header_timeout_s: float = Field(
        10, gt=0, le=300, description="Seconds within which the headers of a request must have arrived."
    )
    body_timeout_s: float = Field(
        20, gt=0, le=300, description="Seconds within which the body of a request must have arrived; later it is a 408."
    )
    keep_alive_timeout_s: int = Field(
        75, ge=1, le=3_600, description="Seconds after which an idle connection is closed."
    )
    connection_limit: int = Field(
        10_000, ge=16, le=1_000_000, description="Most open connections of one process; above it the answer is 503."
    )
    queue_limit: int = Field(
        4_096, ge=1, le=1_000_000, description="Most messages that wait for their commit; above it the answer is 503."
    )
    batch_limit: int = Field(512, ge=1, le=4_096, description="Most messages that share one commit.")
    write_timeout_s: float = Field(
        8, gt=0, le=60, description="Seconds that a write may take, its wait included, before the answer is 503."
    )
    shutdown_timeout_s: int = Field(
        8, ge=1, le=300, description="Seconds that requests under way have to finish after SIGTERM."
    )
    drain_delay_s: float = Field(
        0,
        ge=0,
        le=300,
        description="Seconds between SIGTERM and the end of accepting, in which `/readyz` already answers 503, for a "
        "load balancer to notice.",
    )
    run_worker: bool = Field(
        True,
        description="Whether `serve` also delivers webhooks, mails and texts; switch it off where `shopbell worker` "
        "runs apart.",
    )
    nats_url: SecretStr | None = Field(
        None,
        description="Address of a NATS server (`nats://user:password@host:4222`) that wakes the other processes; "
        "without it PostgreSQL's `NOTIFY` does.",
    )
    poll_interval_s: float = Field(
        1,
        gt=0,
        le=2,
        description="Seconds after which a process looks for news by itself, because a wake-up may be lost.",
    )
    outbound_allow: str = Field(
        "",
        description="Comma-separated `host:port` or networks (CIDR) that webhooks, and Twilio's redirects to "
        "contacts, may reach although they are private, by plain HTTP too: `127.0.0.1:9000` while developing.",
    )
    delivery_schedule_s: Annotated[tuple[float, ...], NoDecode] = Field(
        (0, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400, 86_400, 86_400),
        description="Comma-separated seconds between the attempts to deliver a webhook, the first one after the event.",
    )
    delivery_jitter: float = Field(
        0.2, ge=0, le=0.9, description="Share by which each of these pauses is longer or shorter, by chance."
    )
    delivery_dns_timeout_s: float = Field(3, gt=0, le=60, description="Seconds to look up a receiver's address.")
    delivery_connect_timeout_s: float = Field(5, gt=0, le=60, description="Seconds to connect to a receiver.")
    delivery_timeout_s: float = Field(
        15, gt=0, le=300, description="Seconds that a whole attempt may take, by the wall clock."
    )
    delivery_lease_s: float = Field(
        30,
        gt=0,
        le=3_600,
        description="Seconds after which a delivery whose worker died is another worker's. Where clocks of "
        "machines differ by more than this minus SHOPBELL_DELIVERY_TIMEOUT_S, deliveries are sent twice.",
    )
    delivery_order_wait_s: float = Field(
        3_600,
        ge=0,
        le=604_800,
        description="Seconds that later events of a conversation wait for one that does not get through.",
    )
    deliveries_per_webhook: int = Field(8, ge=1, le=1_000, description="Most deliveries to one webhook at once.")
    deliveries_per_worker: int = Field(64, ge=1, le=10_000, description="Most deliveries of one worker at once.")
    delivery_log_days: int = Field(30, ge=1, le=3_650, description="Days that deliveries and their log are kept.")
    webhook_failure_days: float = Field(
        5, gt=0, le=365, description="Days without a success after which a webhook is switched off."
    )
    webhook_failure_attempts: int = Field(
        20, ge=1, le=10_000, description="Fewest failed attempts before a webhook is switched off."
    )
    attachments_url: str = Field(
        "",
        description="Where attachments are kept: `file:///absolute/folder` or `s3://bucket/prefix`; a folder "
        "beside the SQLite file unless given.",
    )
    attachments_s3_endpoint: AnyHttpUrl | None = Field(
        None, description="Address of an S3-compatible service; Amazon's own unless given."
    )
    attachments_s3_region: str = Field("us-east-1", description="Region of the S3 bucket.")
    attachments_s3_access_key_id: SecretStr | None = Field(None, description="Access key of the S3 bucket.")
    attachments_s3_secret_access_key: SecretStr | None = Field(None, description="Secret key of the S3 bucket.")
    attachment_limit_bytes: int = Field(
        20_971_520, ge=1_024, le=5_368_709_120, description="Largest attachment; above it the answer is 413."
    )
    attachment_quota_bytes: int = Field(
        10_737_418_240,
        ge=1_024,
        le=1_125_899_906_842_624,
        description="Most bytes of all files that an organization and its customers upload in a day (UTC), attached "
        "files included; customers may use half of it. Above it the answer is 429.",
    )
    attachment_quota_per_address_bytes: int = Field(
        268_435_456,
        ge=1_024,
        le=1_125_899_906_842_624,
        description="Most bytes of files that customers at one network address may upload to an organization in a day; "
        "above it the answer is 429.",
    )
    attachment_quota_per_session_bytes: int = Field(
        104_857_600,
        ge=1_024,
        le=1_125_899_906_842_624,
        description="Most bytes of files that one customer's browser or app may upload in a day, or that may come by "
        "mail to one conversation; above it the answer is 429, and a mail is kept without its files.",
    )
    attachment_types: str = Field(
        "image/*, audio/*, video/*, text/plain, text/csv, application/pdf, application/zip, "
        "application/vnd.openxmlformats-officedocument.*",
        description="Comma-separated media types that attachments may have, by their content.",
    )
    attachment_link_s: int = Field(
        3_600, ge=60, le=604_800, description="Seconds that a link to an attachment is valid."
    )
    log_format: Literal["console", "json"] = Field("console", description="How log lines look on standard error.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe lines to log.")
    log_requests: bool = Field(
        True, description="Whether each request is a log line; answers of 500 and above are logged in any case."
    )

    @property
    def url(self) -> URL:
        """The database's address, with the driver that Shopbell uses."""
        return parse_database_url(self.database_url)

    @property
    def direct_url(self) -> URL | None:
        """The database's address past a connection pooler; None where there is no pooler."""
        return None if self.database_direct_url is None else parse_database_url(self.database_direct_url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded engine is used."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The absolute path of the SQLite file."""
        return Path(self.url.database or "").absolute()

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _a_known_engine(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value

    @field_validator("secret_key", "secret_key_old")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SECRET_KEY_MIN_BYTES:
            raise ValueError(f"must have at least {SECRET_KEY_MIN_BYTES} bytes; `openssl rand -hex 32` makes one")
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return parse_networks(value)

    @field_validator("delivery_schedule_s", mode="before")
    @classmethod
    def _pauses(cls, value: object) -> object:
        try:
            pauses = tuple(float(pause) for pause in (value.split(",") if isinstance(value, str) else value))  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            raise ValueError("must be seconds, separated by commas") from None
        if not pauses or not all(0 <= pause <= 604_800 for pause in pauses):
            raise ValueError("must be one or more numbers of seconds from 0 to 604800")
        return pauses

    @model_validator(mode="after")
    def _what_postgresql_needs(self) -> Self:
        if self.is_sqlite and self.workers > 1:
            raise ValueError("SHOPBELL_WORKERS: more than one worker needs PostgreSQL")
        if not self.is_sqlite and self.secret_key is None:
            raise ValueError("SHOPBELL_SECRET_KEY is required with PostgreSQL; `openssl rand -hex 32` makes one")
        return self

    @model_validator(mode="after")
    def _what_a_pooler_needs(self) -> Self:
        if self.direct_url is None:
            return self
        if self.is_sqlite or self.direct_url.get_backend_name() == "sqlite":
            raise ValueError("SHOPBELL_DATABASE_DIRECT_URL: only a PostgreSQL database has one")
        if "options" in self.url.query:
            raise ValueError(
                "SHOPBELL_DATABASE_URL: 'options' do not pass a connection pooler; set them in PostgreSQL with "
                "ALTER ROLE … SET"
            )
        return self

    @model_validator(mode="after")
    def _where_twilio_reaches_us(self) -> Self:
        if self.sms_provider == "twilio" and self.public_url is None:
            raise ValueError("SHOPBELL_PUBLIC_URL is required with SHOPBELL_SMS_PROVIDER=twilio")
        return self

    @model_validator(mode="after")
    def _a_lease_that_outlives_its_attempt(self) -> Self:
        if self.delivery_lease_s <= self.delivery_timeout_s:
            raise ValueError("SHOPBELL_DELIVERY_LEASE_S: must be longer than SHOPBELL_DELIVERY_TIMEOUT_S")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the names are pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was passed wins over the environment, and the environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file())


def load(**given: object) -> Settings:
    """Read the settings.

    Args:
        given: settings from the command line, by field name; they win over all other sources.

    Returns:
        The settings of this process.

    Raises:
        SettingsError: a value is wrong; one line per fault says which and how to mend it, never the value itself.
    """
    if os.environ.get(f"{PREFIX}CONFIG") and not _file().is_file():
        raise SettingsError(f"{PREFIX}CONFIG: there is no file of that name")
    try:
        lines = list(_unknown_names(_file()))
        settings = Settings(**given)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        lines += [_line(fault["loc"], fault["msg"]) for fault in error.errors()]
    except ValueError as error:  # the TOML file cannot be parsed
        raise SettingsError(f"{_file()}: {error}") from None
    if lines:
        raise SettingsError("\n".join(lines))
    return settings


def unknown_variables() -> list[str]:
    """A line for each variable of the environment that looks like a setting and is none: misspelt, it is ignored."""
    known = {f"{PREFIX}{name.upper()}" for name in ("config", *Settings.model_fields)}
    found = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"there is no setting {name}{_meant(name.upper(), known)}" for name in found]


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1, cutoff=0.8)
    return f"; {near[0]} may be meant" if near else ""


def _file() -> Path:
    return Path(os.environ.get(f"{PREFIX}CONFIG") or "shopbell.toml")


def _unknown_names(file: Path) -> Iterator[str]:
    """A line for each name in the file that no setting has: misspelt, it would be ignored."""
    for name in tomllib.loads(file.read_text("utf-8")) if file.is_file() else ():
        if name not in Settings.model_fields:
            near = get_close_matches(name.lower().removeprefix(PREFIX.lower()), Settings.model_fields, 1)
            yield f"{file}: there is no setting {name!r}" + (f"; {near[0]!r} may be meant" if near else "")


def _line(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{PREFIX}{str(location[0]).upper()}: {text}" if location else text
