"""Settings for inbound email; ``Settings`` inherits them."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, cast

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from shopbell.settings.mail import MailSettings
from shopbell.settings.networks import Network, parse_networks

_LISTEN = re.compile(
    r"(?P<protocol>lmtp|smtp)://(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9.-]{1,253})):(?P<port>[0-9]{1,5})/?"
)
_AUTHSERV_ID = re.compile(r"[A-Za-z0-9._-]{1,253}")
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class MailAddress(NamedTuple):
    """The address on which Shopbell accepts email.

    Args:
        protocol: the mail protocol.
        host: a host name or IP address, without brackets.
        port: the TCP port.
    """

    protocol: Literal["lmtp", "smtp"]
    host: str
    port: int


class MailListenerSettings(MailSettings):
    """How Shopbell receives email."""

    mail_listen: str | None = Field(
        None,
        description="Address on which `serve` accepts email to SHOPBELL_MAIL_REPLY_DOMAIN from the mail server: "
        "`lmtp://127.0.0.1:8024` or `smtp://…`. If unset, Shopbell receives no email. Do not expose it to the "
        "internet.",
    )
    mail_peers: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks (CIDR) of mail servers that may deliver email to "
        "SHOPBELL_MAIL_LISTEN. If unset, only this machine may.",
    )
    mail_tls_certificate: Path | None = Field(
        None,
        description="PEM file with the certificate chain with which SHOPBELL_MAIL_LISTEN offers STARTTLS. A renewed "
        "file is used without a restart. If unset, connections are not encrypted.",
    )
    mail_tls_key: Path | None = Field(
        None, description="PEM file with the key of that certificate. If unset, the key is in the same file."
    )
    mail_tls_required: bool = Field(
        False, description="Whether SHOPBELL_MAIL_LISTEN refuses email that is sent without STARTTLS."
    )
    mail_limit_bytes: int = Field(
        31_457_280,
        ge=65_536,
        le=268_435_456,
        description="Maximum size of an inbound email, including its encoded attachments. Larger emails get a 552 "
        "reply.",
    )
    mail_authserv_id: str | None = Field(
        None,
        description="Name that the mail server puts into its `Authentication-Results` headers. If unset, Shopbell "
        "cannot verify the sender of an email.",
    )

    @property
    def mail_listen_address(self) -> MailAddress | None:
        """The address to listen on; None if email is off."""
        match = _LISTEN.fullmatch(self.mail_listen or "")
        if match is None:
            return None
        protocol = cast("Literal['lmtp', 'smtp']", match["protocol"])
        return MailAddress(protocol, match["ipv6"] or match["host"], int(match["port"]))

    @property
    def mail_peer_networks(self) -> tuple[Network, ...]:
        """The networks whose mail servers may deliver email."""
        return self.mail_peers or _LOOPBACK

    @field_validator("mail_listen")
    @classmethod
    def _check_mail_listen(cls, value: str | None) -> str | None:
        match = _LISTEN.fullmatch(value) if value is not None else None
        if value is not None and (match is None or not 1 <= int(match["port"]) <= 65_535):
            raise ValueError("must look like lmtp://127.0.0.1:8024 or smtp://127.0.0.1:8025")
        return value

    @field_validator("mail_peers", mode="before")
    @classmethod
    def _parse_mail_peers(cls, value: object) -> object:
        return parse_networks(value)

    @field_validator("mail_authserv_id")
    @classmethod
    def _check_mail_authserv_id(cls, value: str | None) -> str | None:
        if value is not None and not _AUTHSERV_ID.fullmatch(value):
            raise ValueError("must be the name of the mail server, such as mx.example.org")
        return value

    @model_validator(mode="after")
    def _check_mail_listen_requirements(self) -> Self:
        if self.mail_listen is not None and self.mail_reply_domain is None:
            raise ValueError("SHOPBELL_MAIL_REPLY_DOMAIN is required with SHOPBELL_MAIL_LISTEN")
        if self.mail_tls_certificate is None and (self.mail_tls_key is not None or self.mail_tls_required):
            name = "KEY" if self.mail_tls_key is not None else "REQUIRED"
            raise ValueError(f"SHOPBELL_MAIL_TLS_CERTIFICATE is required with SHOPBELL_MAIL_TLS_{name}")
        return self
