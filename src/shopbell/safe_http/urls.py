"""Parse and check the URLs of receivers, with the parser that also connects."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

from shopbell.safe_http.addresses import PORT_HIGHEST, SETTING, AllowList, is_denied
from shopbell.safe_http.hosts import Address, address_text, parse_host

URL_LONGEST = 2_048
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?]*)(?P<path>[^?]*)(?P<query>\?.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_ASCII_GRAPHIC = "".join(map(chr, range(0x21, 0x7F)))
_LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL.

    Args:
        scheme: ``http`` or ``https``.
        host: the name in lower-case ASCII, or the address in normal form, without brackets.
        address: the address, if the host is one.
        port: 1 to 65535.
        path: path and query in ASCII, as sent in the request.
    """

    scheme: str
    host: str
    address: Address | None
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host, in brackets if it has colons, and the port unless it is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """Parse a URL.

    Args:
        url: at most 2,048 characters.

    Raises:
        ValueError: it is not an http or https URL, or parsers may disagree about it. The message completes a sentence
            and contains nothing from the URL.
    """
    if len(url) > URL_LONGEST:
        raise ValueError(f"must not be longer than {URL_LONGEST} characters")
    if _FORBIDDEN.search(url):
        raise ValueError("must not contain spaces, control characters or backslashes")
    if "#" in url:
        raise ValueError("must not contain a fragment")
    found = _URL.fullmatch(url)
    if not found:
        raise ValueError("must be an https URL")
    authority = found["authority"]
    if "@" in authority:
        raise ValueError("must not contain a user name or password")
    place = _AUTHORITY.fullmatch(authority)
    if not place:
        raise ValueError("must have a valid host name, and a port from 1 to 65535 if any")
    scheme = found["scheme"].lower()
    port = int(place["port"]) if place["port"] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= PORT_HIGHEST:
        raise ValueError("must have a port from 1 to 65535")
    host = parse_host(place["host"])
    name, address = (host, None) if isinstance(host, str) else (address_text(host), host)
    path = quote((found["path"] or "/") + (found["query"] or ""), safe=_ASCII_GRAPHIC)
    return Target(scheme, name, address, port, path)


def check_url(url: str, allow: AllowList) -> None:
    """Check the URL of a webhook, without a lookup: each connection does that.

    Args:
        allow: private addresses that the operator allows.

    Raises:
        ValueError: the URL is not allowed. The message completes a sentence and contains nothing from the URL.
    """
    target = parse_url(url)
    host, port = target.host, target.port
    addresses = (target.address,) if target.address else _LOOPBACK if _is_localhost(host) else ()
    allowed = [allow.allows(host, address, port) for address in addresses] or [allow.may_allow(host, port)]
    if all(allowed):
        return
    if any(is_denied(address) for address in addresses):
        raise ValueError(f"must not point to a private address unless {SETTING} allows it")
    if target.scheme != "https":
        raise ValueError(f"must be an https URL unless {SETTING} allows its host")
    if not addresses and "." not in host:
        raise ValueError(f"must have a full host name unless {SETTING} allows its host")


def _is_localhost(host: str) -> bool:
    """Whether a name is loopback by RFC 6761, whatever a name server says."""
    return host == "localhost" or host.endswith((".localhost", ".localdomain"))
