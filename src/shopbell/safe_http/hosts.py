"""Parse the host of a URL into an address or a lower-case ASCII name.

Resolvers accept many spellings of an address: ``127.1``, ``0x7f.1``, ``2130706433`` and ``①②⑦.⓪.⓪.①`` are all
127.0.0.1. This module converts every spelling to the address, and rejects text that looks like an address but is none,
so that no later parser can interpret it differently.
"""

import re
import socket
from ipaddress import IPv4Address, IPv6Address

import idna

Address = IPv4Address | IPv6Address

NAME_LONGEST = 253
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_ENDS_IN_A_NUMBER = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)$")
_NOT_A_HOST = "must have a valid host name"
_NOT_IPV6 = "must have a valid IPv6 address in the brackets"


def parse_host(text: str) -> str | Address:
    """Parse a host.

    Args:
        text: a name, also an internationalized one, or an address in any spelling, with IPv6 in brackets.

    Returns:
        The address, or the name in lower-case ASCII without a trailing dot.

    Raises:
        ValueError: it is neither; the message completes a sentence such as "the URL …".
    """
    if text.startswith("[") and text.endswith("]"):
        return _parse_ipv6(text[1:-1])
    name = _ascii(text).removesuffix(".")
    if _ENDS_IN_A_NUMBER.search(name):
        return _parse_ipv4(name)
    if len(name) > NAME_LONGEST or not _NAME.fullmatch(name):
        raise ValueError(_NOT_A_HOST)
    return name


def address_text(address: Address) -> str:
    """Write an address in one spelling, on every version of Python.

    Python 3.13 and later write IPv4-mapped addresses as ``::ffff:1.2.3.4``. This function writes ``::ffff:102:304``, as
    earlier versions do and as the URL standard (WHATWG) demands.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        high, low = divmod(int(address.ipv4_mapped), 0x1_0000)
        return f"::ffff:{high:x}:{low:x}"
    return str(address)


def _ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        mapped = idna.uts46_remap(text, std3_rules=True, transitional=False)
        return mapped.lower() if mapped.isascii() else idna.encode(mapped).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise ValueError(_NOT_A_HOST) from None


def _parse_ipv4(name: str) -> IPv4Address:
    try:
        return IPv4Address(socket.inet_aton(name))  # as resolvers parse it, including octal; no lookup
    except OSError:
        raise ValueError(_NOT_A_HOST) from None


def _parse_ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(_NOT_IPV6) from None
    if address.scope_id is not None:  # a network interface of this machine
        raise ValueError(_NOT_IPV6)
    return address
