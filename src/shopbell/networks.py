"""Networks as operators write them: one form for each, so that every spelling has the same effect."""

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """Read an address or a network (CIDR).

    Args:
        text: such as ``10.0.0.0/8``, ``::1`` or ``::ffff:10.0.0.0/104``.

    Returns:
        The network; an IPv4-mapped one (RFC 4291, 2.5.5.2) as the IPv4 network that it is to every system.

    Raises:
        ValueError: it is neither.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) & 0xFFFF_FFFF
        return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
    return network


def parse_networks(value: object) -> tuple[Network, ...]:
    """Read a setting that lists networks.

    Args:
        value: a string with commas, or a list as a TOML file has it.

    Raises:
        TypeError: it is neither.
        ValueError: a part of it is no network.
    """
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise TypeError("must be addresses or networks, separated by commas")
    try:
        return tuple(parse_network(str(name).strip()) for name in names if str(name).strip())
    except ValueError:
        raise ValueError("must be addresses or networks such as 10.0.0.0/8, separated by commas") from None
