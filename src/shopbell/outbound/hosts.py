"""The host of a URL in one spelling: an address, or a name in lower-case ASCII.

Resolvers read more spellings of an address than people know: ``127.1``, ``0x7f.1``, ``2130706433`` and
``①②⑦.⓪.⓪.①`` are all 127.0.0.1. Here every spelling becomes the address itself, and what looks like an address but is
none is refused, so that nothing later reads it in another way.
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
    """Read a host.

    Args:
        text: a name, also an international one, or an address in any spelling; IPv6 in brackets.

    Returns:
        The address, or the name in lower-case ASCII without a dot at its end.

    Raises:
        ValueError: it is neither; the text is the end of a sentence.
    """
    if text.startswith("[") and text.endswith("]"):
        return _parse_ipv6(text[1:-1])
    name = _ascii(text).removesuffix(".")
    if _ENDS_IN_A_NUMBER.search(name):
        return _parse_ipv4(name)
    if len(name) > NAME_LONGEST or not _NAME.fullmatch(name):
        raise ValueError(_NOT_A_HOST)
    return name


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
        return IPv4Address(socket.inet_aton(name))  # what resolvers use, octal and all; it looks nothing up
    except OSError:
        raise ValueError(_NOT_A_HOST) from None


def _parse_ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(_NOT_IPV6) from None
    if address.scope_id is not None:  # a network card of this machine
        raise ValueError(_NOT_IPV6)
    return address
