"""Decide which addresses outbound connections may reach.

The table does not use ``ipaddress.is_global``, which is true for multicast, changes between Python versions, and is
true for 64:ff9b::7f00:1 and 2002:7f00:1::, which gateways translate to 127.0.0.1.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Self

from shopbell.errors import SettingsError
from shopbell.safe_http.hosts import Address, parse_host
from shopbell.settings.networks import Network, parse_network

PORT_HIGHEST = 65_535
SETTING = "SHOPBELL_OUTBOUND_ALLOW"
"""The setting with the operator's exceptions; errors name it."""
_WRONG = f"{SETTING}: must be host:port, [IPv6]:port or networks such as 10.0.0.0/8, separated by commas"

_DENIED_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network"; 0.0.0.0 reaches this machine
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # looks public, but is the host of virtual machines in Azure
            "169.254.0.0/16",  # link-local; 169.254.169.254 gives out a cloud's credentials
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
# The only block with public addresses. The others are unspecified, loopback, IPv4-compatible, NAT64 (64:ff9b::/96 and
# 64:ff9b:1::/48), discard (100::/64), segment routing (5f00::/16), unique local (fc00::/7), link-local (fe80::/10),
# site-local (fec0::/10), multicast (ff00::/8) and reserved.
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
# In ::/96, but they embed no IPv4 address (RFC 4291, 2.5.2 and 2.5.3).
_UNSPECIFIED_AND_LOOPBACK = IPv6Network("::/127")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_denied(address: Address) -> bool:
    """Whether outbound connections may reach an address only if the operator allows it.

    True for private, reserved and special addresses, and for addresses that embed an IPv4 address.
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
    """Convert an IPv4-mapped address (``::ffff:127.0.0.1``) to the IPv4 address; return others unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which a gateway or tunnel translates an IPv6 address.

    NAT64, 6to4, Teredo, ISATAP, IPv4-mapped and IPv4-compatible addresses embed one; for others, return None.
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
    """Private hosts and networks that the operator allows, also over plain HTTP.

    Args:
        places: pairs of a host (a name, or an address in normal form) and a port.
        networks: networks with all ports allowed.
    """

    places: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the setting ``SHOPBELL_OUTBOUND_ALLOW``.

        Args:
            text: comma-separated ``host:port``, ``[IPv6]:port``, addresses or networks (CIDR); may be empty.

        Raises:
            SettingsError: an item is none of these.
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
        """Whether this private address may be reached, also over plain HTTP.

        Args:
            host: the requested name or address, in the form of ``hosts.parse_host``.
            address: the address that ``host`` resolved to.
            port: the port to reach, 1 to 65535.
        """
        address = unmapped(address)
        # A resolved address can have a zone (``fe80::1%eth0``); the setting never does.
        spelling = str(address).partition("%")[0]
        if (host, port) in self.places or (spelling, port) in self.places:
            return True
        containing = [network for network in self.networks if address in network]
        if not containing:
            return False
        carried = embedded_ipv4(address) if isinstance(address, IPv6Address) else None
        if carried is None or not is_denied(carried):
            return True
        # An allowed gateway network does not allow all addresses behind the gateway. Only a network that also covers
        # part of the IPv4 address does.
        begins_at_bit = _6TO4.prefixlen if address in _6TO4 else _IPV4_COMPATIBLE.prefixlen
        return any(network.prefixlen > begins_at_bit for network in containing) or self.allows(host, carried, port)

    def may_allow(self, host: str, port: int) -> bool:
        """Whether a name may be allowed, depending on its address.

        Args:
            host: the name, in the form of ``hosts.parse_host``.
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
