"""Parse IP networks from settings into one normal form."""

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """Parse an IP address or network (CIDR).

    Args:
        text: for example ``10.0.0.0/8``, ``::1`` or ``::ffff:10.0.0.0/104``.

    Returns:
        The network. An IPv4-mapped network (RFC 4291, 2.5.5.2) becomes the equivalent IPv4 network.

    Raises:
        ValueError: the text is neither.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) & 0xFFFF_FFFF
        return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
    return network


def parse_networks(value: object) -> tuple[Network, ...]:
    """Parse a setting that lists networks.

    Args:
        value: a comma-separated string, or a list from a TOML file.

    Raises:
        TypeError: the value is neither.
        ValueError: an item is not a network.
    """
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise TypeError("must be addresses or networks, separated by commas")
    try:
        return tuple(parse_network(str(name).strip()) for name in names if str(name).strip())
    except ValueError:
        raise ValueError("must be addresses or networks such as 10.0.0.0/8, separated by commas") from None
