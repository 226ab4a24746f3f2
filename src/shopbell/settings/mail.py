"""Settings for outbound email and push notifications; ``Settings`` inherits them."""

import re
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

SMTP_PORTS = {"smtp": 587, "smtps": 465}
NO_SENDER = "shopbell@mail.invalid"
"""The sender of emails that the demo writes into the outbox folder."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts of mail servers on the same machine."""

# Stricter than the email standards: the operator chooses these addresses.
_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*", re.ASCII)
_SELECTOR = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*", re.ASCII)
_DOMAIN = re.compile(r"(?=.{4,190}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}", re.ASCII)


class MailSettings(BaseSettings):
    """How Shopbell sends email, and push notifications to employees."""

    push_shows_text: bool = Field(
        False,
        description="Whether push notifications to employees contain the customer's name and the start of the message, "
        "which then appear on locked screens. They are encrypted for the browser: the push service cannot read them.",
    )

    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server that sends Shopbell's email: `smtp://user:password@host:587` (STARTTLS) or "
        "`smtps://user:password@host:465`. If unset, every email fails with the reason `no_mail_server`.",
    )
    smtp_starttls: Literal["required", "never"] = Field(
        "required",
        description="Whether `smtp://` connections must switch to TLS before they send anything. Use `never` only for "
        "a server without a certificate on the same machine or network; Shopbell then sends a password only to this "
        "machine.",
    )
    smtp_connect_timeout_s: float = Field(
        10, gt=0, le=60, description="Timeout to connect to the mail server, including TLS."
    )
    smtp_timeout_s: float = Field(60, gt=0, le=300, description="Timeout to send one email.")
    mail_from: str | None = Field(
        None,
        description="Sender address of emails, shown after the business's name: `shop@chat.example.org`. Required with "
        "SHOPBELL_SMTP_URL.",
    )
    mail_reply_domain: str | None = Field(
        None,
        description="Domain whose email the mail server delivers to Shopbell. Replies go to signed addresses in this "
        "domain. If unset, customers cannot reply by email.",
    )
    mail_dkim_selectors: str = Field(
        "",
        description="Comma-separated DKIM selectors with which the mail server signs emails from SHOPBELL_MAIL_FROM. "
        "Only `shopbell doctor` uses them.",
    )
    mail_batch_s: float = Field(
        60,
        ge=0,
        le=3_600,
        description="How long an email waits for more messages. Each new message extends the wait, up to three "
        "times this value.",
    )
    store_mails_per_hour: int = Field(
        30,
        ge=1,
        le=3_600,
        description="Maximum emails per hour that notify one business of waiting customers. Up to that many "
        "can go out at once; the limit refills evenly. The next email says how many conversations were left out.",
    )
    mail_outbox: Path = Field(
        Path("data/outbox"),
        description="Folder into which the demo writes emails and text messages instead of sending them. `serve` "
        "writes only text messages there, and only with SHOPBELL_SMS_PROVIDER=folder.",
    )
    is_demo: ClassVar[bool] = False
    """Whether this is the demo, which writes emails into a folder if no mail server is set."""

    @property
    def sends_emails(self) -> bool:
        """Whether emails are sent, or written into the demo's folder."""
        return self.smtp_url is not None or self.is_demo

    @property
    def mail_sender(self) -> str:
        """The sender address of emails."""
        return self.mail_from or NO_SENDER

    @property
    def dkim_selectors(self) -> tuple[str, ...]:
        """The DKIM selectors of the mail server."""
        return tuple(filter(None, map(str.strip, self.mail_dkim_selectors.split(","))))

    @field_validator("smtp_url")
    @classmethod
    def _check_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = _parts(value)  # its error is dropped: it may quote the password
            if parts is None or parts.scheme not in SMTP_PORTS or not parts.hostname:
                raise ValueError("must look like smtp://user:password@host:587 or smtps://user:password@host:465")
            if parts.path.strip("/") or parts.query or parts.fragment:
                raise ValueError("must end with the port; write a / in the user or the password as %2F")
            if (parts.username is None) != (parts.password is None):
                raise ValueError("must have both a user and a password, or neither")
        return value

    @field_validator("mail_from")
    @classmethod
    def _check_mail_from(cls, value: str | None) -> str | None:
        if value is None:
            return None
        local, _, domain = value.rpartition("@")
        if len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
            raise ValueError("must be an email address in ASCII, without a display name")
        return value

    @field_validator("mail_reply_domain")
    @classmethod
    def _check_mail_reply_domain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _DOMAIN.fullmatch(value):
            raise ValueError("must be a domain in ASCII, such as reply.example.org")
        return value.lower()

    @field_validator("mail_dkim_selectors")
    @classmethod
    def _check_mail_dkim_selectors(cls, value: str) -> str:
        if not all(_SELECTOR.fullmatch(each.strip()) for each in value.split(",") if each.strip()):
            raise ValueError("must be DKIM selectors such as s1, separated by commas")
        return value

    @model_validator(mode="after")
    def _check_smtp_requirements(self) -> Self:
        parts = self.smtp_url and _parts(self.smtp_url)
        if not parts:
            return self
        if self.mail_from is None:
            raise ValueError("SHOPBELL_MAIL_FROM is required with SHOPBELL_SMTP_URL")
        is_open = parts.scheme == "smtp" and self.smtp_starttls == "never"
        if is_open and parts.username is not None and parts.hostname not in LOOPBACK:
            raise ValueError("SHOPBELL_SMTP_STARTTLS: must be 'required' to send a password to another machine")
        return self


def _parts(url: SecretStr) -> SplitResult | None:
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port, unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return None
    return parts
