"""The settings of mail that comes in: a part of ``settings.py``, which reads them."""

import re
from ipaddress import ip_network
from typing import Annotated, Literal, NamedTuple, Self, cast

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from shopbell.mail_settings import MailSettings
from shopbell.networks import Network, parse_networks

_LISTEN = re.compile(
    r"(?P<protocol>lmtp|smtp)://(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9.-]{1,253})):(?P<port>[0-9]{1,5})/?"
)
_AUTHSERV_ID = re.compile(r"[A-Za-z0-9._-]{1,253}")
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class MailAddress(NamedTuple):
    """Where mail comes in.

    Args:
        protocol: that is spoken.
        host: name or address, without brackets.
        port: of TCP.
    """

    protocol: Literal["lmtp", "smtp"]
    host: str
    port: int


class MailListenerSettings(MailSettings):
    """How mails come in."""

    mail_listen: str | None = Field(
        None,
        description="Where `serve` takes mail to SHOPBELL_MAIL_REPLY_DOMAIN from the mail server: "
        "`lmtp://127.0.0.1:8024`, or `smtp://…`; without it no mail comes in. It is not for the open internet.",
    )
    mail_peers: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks (CIDR) of mail servers that may hand over mail; this "
        "machine alone unless given.",
    )
    mail_limit_bytes: int = Field(
        31_457_280,
        ge=65_536,
        le=268_435_456,
        description="Largest mail that comes in, its files in their encoding included; above it the answer is 552.",
    )
    mail_authserv_id: str | None = Field(
        None,
        description="Name by which the mail server signs its `Authentication-Results`; without it nothing proves who "
        "wrote a mail.",
    )

    @property
    def mail_listen_address(self) -> MailAddress | None:
        """Where to listen, or None when no mail comes in."""
        match = _LISTEN.fullmatch(self.mail_listen or "")
        if match is None:
            return None
        protocol = cast("Literal['lmtp', 'smtp']", match["protocol"])
        return MailAddress(protocol, match["ipv6"] or match["host"], int(match["port"]))

    @property
    def mail_peer_networks(self) -> tuple[Network, ...]:
        """Who may hand over mail."""
        return self.mail_peers or _LOOPBACK

    @field_validator("mail_listen")
    @classmethod
    def _a_place_to_listen(cls, value: str | None) -> str | None:
        match = _LISTEN.fullmatch(value) if value is not None else None
        if value is not None and (match is None or not 1 <= int(match["port"]) <= 65_535):
            raise ValueError("must look like lmtp://127.0.0.1:8024 or smtp://127.0.0.1:8025")
        return value

    @field_validator("mail_peers", mode="before")
    @classmethod
    def _peers(cls, value: object) -> object:
        return parse_networks(value)

    @field_validator("mail_authserv_id")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not _AUTHSERV_ID.fullmatch(value):
            raise ValueError("must be the mail server's name, such as mx.example.org")
        return value

    @model_validator(mode="after")
    def _what_listening_needs(self) -> Self:
        if self.mail_listen is not None and self.mail_reply_domain is None:
            raise ValueError("SHOPBELL_MAIL_REPLY_DOMAIN is required with SHOPBELL_MAIL_LISTEN")
        return self
