"""The settings of mail: a part of ``settings.py``, which reads them."""

import re
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

SMTP_PORTS = {"smtp": 587, "smtps": 465}
NO_SENDER = "shopbell@mail.invalid"
"""Whom mails are from where no mail leaves: in the outbox's folder."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Narrower than what mail allows: an operator chooses these.
_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*", re.ASCII)
_DOMAIN = re.compile(r"(?=.{4,190}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}", re.ASCII)


class MailSettings(BaseSettings):
    """How mails leave, and how they come in."""

    smtp_url: SecretStr | None = Field(
        None,
        description="The server that takes our mails: `smtp://user:password@host:587` with STARTTLS or "
        "`smtps://user:password@host:465`. Without it no mail is sent: each fails with the reason `no_mail_server`.",
    )
    smtp_starttls: Literal["required", "never"] = Field(
        "required",
        description="Whether `smtp://` must become TLS before anything is sent; `never` is for a server on the same "
        "machine or network that has no certificate, and a password is then sent to this machine only.",
    )
    smtp_connect_timeout_s: float = Field(
        10, gt=0, le=60, description="Seconds to connect to the mail server, TLS included."
    )
    smtp_timeout_s: float = Field(60, gt=0, le=300, description="Seconds that sending one mail may take.")
    mail_from: str | None = Field(
        None,
        description="Address that mails are from, beside the business's name: `shop@chat.example.org`; "
        "SHOPBELL_SMTP_URL needs it.",
    )
    mail_reply_domain: str | None = Field(
        None,
        description="Domain whose mail comes in here: answers go to signed addresses in it; without it nobody can "
        "answer by mail.",
    )
    mail_batch_s: float = Field(
        60,
        ge=0,
        le=3_600,
        description="Seconds that a mail waits for more messages to go with it; three times as long at most.",
    )
    store_mails_per_hour: int = Field(
        30,
        ge=1,
        le=3_600,
        description="Mails that tell one business of customers who wait: so many at once, and one more each time that "
        "its share of an hour has passed; the next one says how many conversations were left out.",
    )
    mail_outbox: Path = Field(
        Path("data/outbox"),
        description="Folder into which the demo writes mails and texts instead of sending them; `serve` writes only "
        "texts there, with SHOPBELL_SMS_PROVIDER=folder.",
    )
    is_demo: ClassVar[bool] = False
    """Whether this is the demo, which writes mails into a folder when no mail server is set."""

    @property
    def sends_mails(self) -> bool:
        """Whether mails are sent, or written into the demo's folder."""
        return self.smtp_url is not None or self.is_demo

    @property
    def mail_sender(self) -> str:
        """The address that mails are from."""
        return self.mail_from or NO_SENDER

    @field_validator("smtp_url")
    @classmethod
    def _a_mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = _parts(value)  # what went wrong in it may quote the password
            if parts is None or parts.scheme not in SMTP_PORTS or not parts.hostname:
                raise ValueError("must look like smtp://user:key@host:587 or smtps://user:key@host:465")
            if parts.path.strip("/") or parts.query or parts.fragment:
                raise ValueError("must end with the port; a / in the user or the key is written as %2F")
            if (parts.username is None) != (parts.password is None):
                raise ValueError("must have both a user and a key, or neither")
        return value

    @field_validator("mail_from")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        local, _, domain = value.rpartition("@")
        if len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
            raise ValueError("must be an e-mail address in ASCII letters, without a name")
        return value

    @field_validator("mail_reply_domain")
    @classmethod
    def _a_domain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _DOMAIN.fullmatch(value):
            raise ValueError("must be a domain such as reply.example.org, in its ASCII form")
        return value.lower()

    @model_validator(mode="after")
    def _what_smtp_needs(self) -> Self:
        parts = self.smtp_url and _parts(self.smtp_url)
        if not parts:
            return self
        if self.mail_from is None:
            raise ValueError("SHOPBELL_MAIL_FROM is required with SHOPBELL_SMTP_URL")
        is_open = parts.scheme == "smtp" and self.smtp_starttls == "never"
        if is_open and parts.username is not None and parts.hostname not in _LOOPBACK:
            raise ValueError("SHOPBELL_SMTP_STARTTLS: a password leaves this machine only through TLS")
        return self


def _parts(url: SecretStr) -> SplitResult | None:
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port, unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return None
    return parts
