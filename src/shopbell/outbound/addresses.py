"""Which addresses nothing outbound may reach, and which of them the operator allows all the same.

The table is our own. ``ipaddress.is_global`` answers another question: it is true for 64:ff9b::7f00:1 and for
2002:7f00:1::, and a gateway turns both into 127.0.0.1; it is true for multicast; and it changes with the interpreter.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Self

from shopbell.errors import SettingsError
from shopbell.networks import Network, parse_network
from shopbell.outbound.hosts import Address, parse_host

PORT_HIGHEST = 65_535
SETTING = "SHOPBELL_OUTBOUND_ALLOW"
"""What the operator allows all the same; errors name it."""
_WRONG = f"{SETTING}: must be host:port, [IPv6]:port or networks such as 10.0.0.0/8, separated by commas"

_DENIED_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network"; 0.0.0.0 reaches this very machine
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a provider's address translation
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # looks public, and is the host of a virtual machine in a large cloud
            "169.254.0.0/16",  # link-local; 169.254.169.254 hands a cloud's credentials to whoever asks
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
# No other block is given to anybody on the internet: unspecified, loopback, IPv4-compatible, NAT64 (64:ff9b::/96 and
# 64:ff9b:1::/48), discard (100::/64), segment routing (5f00::/16), unique local (fc00::/7), link-local (fe80::/10),
# site-local (fec0::/10), multicast (ff00::/8), and what is reserved.
_INTERNET_IPV6 = IPv6Network("2000::/3")
_DENIED_IPV6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID, …
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = IPv6Network("::/96")
# Within it, but they carry nothing (RFC 4291, 2.5.2 and 2.5.3).
_UNSPECIFIED_AND_LOOPBACK = IPv6Network("::/127")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_denied(address: Address) -> bool:
    """Whether an address is one that nothing outbound may reach unless the operator allows it.

    Args:
        address: any address.

    Returns:
        True for what is private, reserved or special in any way, or carries an IPv4 address through a gateway.
    """
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        return any(address in network for network in _DENIED_IPV4)
    return (
        address not in _INTERNET_IPV6
        or any(address in network for network in _DENIED_IPV6)
        or embedded_ipv4(address) is not None
    )


def unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped one (``::ffff:127.0.0.1``) is to every system, or the address itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which a gateway or tunnel would carry what is sent to an IPv6 address.

    Args:
        address: any IPv6 address; NAT64, 6to4, Teredo, ISATAP, IPv4-mapped and IPv4-compatible ones carry another.

    Returns:
        That address; None where there is none.
    """
    if address in _UNSPECIFIED_AND_LOOPBACK:
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    bits = int(address)
    last = IPv4Address(bits & 0xFFFF_FFFF)
    if any(address in network for network in (*_NAT64, _IPV4_COMPATIBLE)):
        return last
    return last if (bits >> 32) & 0xFFFF_FFFF in _ISATAP else None


@dataclass(frozen=True, slots=True)
class AllowList:
    """What the operator lets through although it is private, by plain HTTP too.

    Args:
        places: pairs of a host (a name, or an address in its usual spelling) and a port from 1 to 65535.
        networks: networks of which every port is allowed.
    """

    places: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the setting ``SHOPBELL_OUTBOUND_ALLOW``.

        Args:
            text: comma-separated ``host:port``, ``[IPv6]:port``, addresses or networks (CIDR); may be empty.

        Raises:
            SettingsError: a part of it is none of these.
        """
        places: set[tuple[str, int]] = set()
        networks: list[Network] = []
        for part in filter(None, map(str.strip, text.split(","))):
            try:
                networks.append(parse_network(part))
            except ValueError:
                places.add(_place(part))
        return cls(frozenset(places), tuple(networks))

    def allows(self, host: str, address: Address, port: int) -> bool:
        """Whether this address may be reached although it is private, and by plain HTTP.

        Args:
            host: the name or address that was asked for, in the spelling of ``hosts.parse_host``.
            address: the address that was found for it.
            port: the port to reach, 1 to 65535.
        """
        address = unmapped(address)
        # What a resolver finds may name a network card (``fe80::1%eth0``); a setting never does.
        spelling = str(address).partition("%")[0]
        if (host, port) in self.places or (spelling, port) in self.places:
            return True
        containing = [network for network in self.networks if address in network]
        if not containing:
            return False
        carried = embedded_ipv4(address) if isinstance(address, IPv6Address) else None
        if carried is None or not is_denied(carried):
            return True
        # Allowing the network of a gateway does not allow everything behind it. Only a network that names a part of
        # the IPv4 address, too, does.
        begins_at_bit = _6TO4.prefixlen if address in _6TO4 else _IPV4_COMPATIBLE.prefixlen
        return any(network.prefixlen > begins_at_bit for network in containing) or self.allows(host, carried, port)

    def may_allow(self, host: str, port: int) -> bool:
        """Whether a name could turn out to be allowed once its address is known.

        Args:
            host: the name, in the spelling of ``hosts.parse_host``.
            port: the port to reach, 1 to 65535.
        """
        if self.networks or (host, port) in self.places:
            return True
        return any(place_port == port and _is_address(place) for place, place_port in self.places)


def _place(part: str) -> tuple[str, int]:
    host, _, port = part.rpartition(":")
    try:
        parsed = parse_host(host)
    except ValueError:
        raise SettingsError(_WRONG) from None
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= PORT_HIGHEST):
        raise SettingsError(_WRONG)
    return str(parsed if isinstance(parsed, str) else unmapped(parsed)), int(port)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
