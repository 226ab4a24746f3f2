"""URLs that lead into a private network, in every spelling."""

from collections.abc import Iterator
from ipaddress import IPv4Address

PRIVATE_IPV4 = (
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.254",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
)
PRIVATE_IPV6 = (
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::2",
    "100::1",
    "100:0:0:1::1",
    "200::1",
    "1fff::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe00::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff01::1",
    "ff02::1",
    "ff0e::1",
)
LOCALHOSTS = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "a.b.localhost.",
    "localhost.localdomain",
    "ⓛocalhost",
)
_CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")
_FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}


def ipv4_spellings(dotted: str) -> Iterator[str]:
    """The same IPv4 address as hosts of URLs."""
    a, b, c, d = (int(part) for part in dotted.split("."))
    number = int(IPv4Address(dotted))
    yield from (dotted, f"{dotted}.", f"{a}.{(b << 16) + (c << 8) + d}", f"{a}.{b}.{(c << 8) + d}", str(number))
    yield from (f"{number:#x}", f"{number:#X}", f"0x{number:012x}", f"0{number:o}", f"000{number:o}", f"{number}.")
    yield from (f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"{a:#x}.{(b << 16) + (c << 8) + d:#x}", f"{a:#x}.{b}.0{c:o}.{d}")
    yield from (f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0000{a:o}.{b}.{c}.{d}", f"{a}.{b}.{c}.0{d:o}")
    yield from (dotted.translate(_CIRCLED), dotted.translate(_FULL_WIDTH), str(number).translate(_CIRCLED))
    yield from (dotted.replace(".", stop) for stop in "\u3002\uff0e\uff61")
    yield f"0\uff58{a:x}.{b}.{c}.{d}"


def ipv6_carrying(dotted: str) -> Iterator[str]:
    """IPv6 addresses that a system, a gateway or a tunnel turns into this IPv4 address."""
    number = int(IPv4Address(dotted))
    high, low = number >> 16, number & 0xFFFF
    yield from (f"::ffff:{dotted}", f"::ffff:{high:x}:{low:x}", f"::{dotted}", f"::ffff:0:{dotted}")
    yield from (f"64:ff9b::{dotted}", f"64:ff9b::{high:x}:{low:x}", f"64:ff9b:1::{dotted}", f"64:ff9b:1:fffe::{dotted}")
    yield from (f"2002:{high:x}:{low:x}::", f"2002:{high:x}:{low:x}::1", f"2002:{high:x}:{low:x}:1::{dotted}")
    yield f"2001:0:102:304:0:ffff:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    yield from (f"2a00::5efe:{high:x}:{low:x}", f"2a00::200:5efe:{high:x}:{low:x}", f"fe80::5efe:{dotted}")


def hostile_addresses() -> Iterator[str]:
    """Every address above in its usual spelling."""
    yield from PRIVATE_IPV4
    yield from PRIVATE_IPV6
    for dotted in PRIVATE_IPV4:
        yield from ipv6_carrying(dotted)


def hostile_urls(port: int) -> Iterator[str]:
    """URLs that say by themselves that they lead into a private network, or that readers disagree about."""
    for dotted in PRIVATE_IPV4:
        for host in ipv4_spellings(dotted):
            yield f"https://{host}:{port}/hook"
        for host in ipv6_carrying(dotted):
            yield f"https://[{host}]:{port}/hook"
    for host in PRIVATE_IPV6:
        yield f"https://[{host}]:{port}/hook"
    for host in LOCALHOSTS:
        yield f"https://{host}:{port}/hook"
    here = f"127.0.0.1:{port}"
    for authority in (
        f"example.com@{here}",
        f"example.com:443@{here}",
        f"@{here}",
        f"{here}@example.com",
        f"a@b@{here}",
    ):
        yield f"https://{authority}/"
    for odd in (f"{here}\\@example.com", f"example.com\\@{here}", f"{here}#@example.com", f"example.com#@{here}"):
        yield f"https://{odd}/"
    for blank in ("\t", "\n", "\r", " ", "\0", "\x0b", "\x7f"):
        yield f"https://{blank}{here}/"
        yield f"https://127.0.0.1{blank}.example.com:{port}/"
        yield f"{blank}https://{here}/"
    for host in (
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "[::1%25lo]",
        "[fe80::1%lo]",
        "[127.0.0.1]",
        "[::1",
        "::1",
        "[v1.1]",
    ):
        yield f"https://{host}:{port}/"
    for host in (
        "127.0.0.1..",
        "..",
        ".",
        "",
        "127..1",
        "1.2.3.4.5",
        "0x",
        "256.256.256.256",
        "127.0.0.0x1g.1",
        "09.1",
    ):
        yield f"https://{host}:{port}/"
    for scheme in ("file", "ftp", "gopher", "dict", "ldap", "unix", "ws", "http+unix", "https+x", "javascript"):
        yield f"{scheme}://{here}/"
    yield from (f"http://{here}/", f"https:{here}", f"https:/{here}", f"https:///{here}/", f"//{here}/", here, "")
    for wrong in ("0", "65536", "-1", "99999999999", "", "x", "١", "443:443"):
        yield f"https://127.0.0.1:{wrong}/"
