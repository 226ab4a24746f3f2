"""Which webhook URLs are accepted, and what the operator can allow."""

from ipaddress import ip_address

import pytest

from shopbell.errors import SettingsError
from shopbell.safe_http.addresses import AllowList, embedded_ipv4, is_denied
from shopbell.safe_http.hosts import address_text
from shopbell.safe_http.urls import check_url, parse_url

NOTHING = AllowList.parse("")
ONE_BOT = AllowList.parse("127.0.0.1:9000, helpdesk.lan:8080, bot:9001, [fd00::7]:443")
LAN = AllowList.parse("10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "HTTPS://EXAMPLE.com:8443/hook?a=b&c=%20",
        "https://example.com./",
        "https://example.com:65535/a@b:c",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/größe?q=ü",
        "https://my_bot.example.com/",
        "https://3com.example/",
        "https://127.0.0.1.example.com/",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]/hook",
        "https://example.com/" + "a" * 2_028,
    ],
)
def test_a_public_https_url_is_accepted(url: str) -> None:
    check_url(url, NOTHING)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "must be an https URL unless SHOPBELL_OUTBOUND_ALLOW allows its host"),
        ("ftp://example.com/", "must be an https URL"),
        ("example.com", "must be an https URL"),
        ("https://alice:secret@example.com/", "must not contain a user name or password"),
        ("https://example.com/#top", "must not contain a fragment"),
        ("https://example.com/a b", "must not contain spaces, control characters or backslashes"),
        ("https://example.com/" + "a" * 2_029, "must not be longer than 2048 characters"),
        ("https://example.com:0/", "must have a port from 1 to 65535"),
        ("https://example.com:65536/", "must have a port from 1 to 65535"),
        ("https://-a.example/", "must have a valid host name"),
        ("https://a..example/", "must have a valid host name"),
        ("https://" + "a" * 64 + ".example/", "must have a valid host name"),
        ("https://" + "a." * 130 + "example/", "must have a valid host name"),
        ("https://a℀b.example/", "must have a valid host name"),
        ("https://intranet/", "must have a full host name unless SHOPBELL_OUTBOUND_ALLOW allows its host"),
        ("https://10.0.0.1/", "must not point to a private address unless SHOPBELL_OUTBOUND_ALLOW allows it"),
        ("https://[::1%25eth0]/", "must have a valid IPv6 address in the brackets"),
    ],
)
def test_the_error_in_a_url_is_reported(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        check_url(url, NOTHING)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("::ffff:1.2.3.4", "::ffff:102:304"),
        ("::ffff:0:0", "::ffff:0:0"),
        ("::ffff:255.255.0.1", "::ffff:ffff:1"),
        ("2001:db8:0:0::1", "2001:db8::1"),
        ("::1.2.3.4", "::102:304"),
        ("1.2.3.4", "1.2.3.4"),
    ],
)
def test_an_address_is_formatted_the_same_on_every_python_version(address: str, text: str) -> None:
    assert address_text(ip_address(address)) == text


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://EXAMPLE.com.", "example.com", 443, "/", "example.com"),
        ("https://Bücher.example:443/ü?ü", "xn--bcher-kva.example", 443, "/%C3%BC?%C3%BC", "xn--bcher-kva.example"),
        ("http://0x7f.1:80?a=%2F", "127.0.0.1", 80, "/?a=%2F", "127.0.0.1"),
        ("https://[::FFFF:1.2.3.4]:444/", "::ffff:102:304", 444, "/", "[::ffff:102:304]:444"),
    ],
)
def test_a_url_is_parsed_unambiguously(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = parse_url(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/",
        "https://127.0.0.1:9000/",
        "http://0x7f.1:9000/",
        "http://helpdesk.lan:8080/",
        "http://HELPDESK.lan.:8080/",
        "https://bot:9001/",
        "https://[fd00:0::7]/",
    ],
)
def test_destinations_allowed_by_the_operator_are_accepted(url: str) -> None:
    check_url(url, ONE_BOT)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9001/",
        "https://127.0.0.1/",
        "https://127.0.0.2:9000/",
        "https://localhost:9000/",  # it is also ::1, which is not allowed
        "http://helpdesk.lan/",
        "http://other.lan:8080/",
        "https://bot:9002/",
        "http://[fd00::7]:80/",
    ],
)
def test_destinations_similar_to_allowed_ones_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        check_url(url, ONE_BOT)


def test_localhost_is_allowed_by_name_or_by_both_of_its_addresses() -> None:
    check_url("http://localhost:9000/", AllowList.parse("localhost:9000"))
    check_url("http://localhost:9000/", AllowList.parse("127.0.0.1:9000,[::1]:9000"))


def test_a_name_can_resolve_to_an_allowed_network() -> None:
    check_url("http://helpdesk.lan:8080/", LAN)
    check_url("https://bot/", LAN)
    check_url("http://10.1.2.3:1/", LAN)
    assert LAN.allows("helpdesk.lan", ip_address("10.1.2.3"), 1)
    assert LAN.allows("helpdesk.lan", ip_address("::ffff:10.1.2.3"), 1)
    assert LAN.allows("helpdesk.lan", ip_address("fd00::1"), 1)
    assert not LAN.allows("helpdesk.lan", ip_address("11.1.2.3"), 1)


def test_an_allowed_gateway_does_not_allow_the_addresses_behind_it() -> None:
    gateway = AllowList.parse("64:ff9b::/96")
    assert gateway.allows("a.example", ip_address("64:ff9b::8.8.8.8"), 443)
    assert not gateway.allows("a.example", ip_address("64:ff9b::127.0.0.1"), 443)
    both = AllowList.parse("64:ff9b::/96, 127.0.0.0/8")
    assert both.allows("a.example", ip_address("64:ff9b::127.0.0.1"), 443)


@pytest.mark.parametrize("network", ["::1", "::1/128", "0:0:0:0:0:0:0:1", "::/127", "::/96"])
def test_an_allowed_network_that_contains_ipv6_loopback_allows_it(network: str) -> None:
    check_url("http://[::1]:9000/", AllowList.parse(network))
    check_url("http://localhost:9000/", AllowList.parse(f"127.0.0.1, {network}"))


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.0/255.0.0.0", "::ffff:10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:0a00:0/104", "::ffff:10.0.0.1"),
        ("::ffff:0:0/96", "10.0.0.1"),
        ("::10.0.0.1", "::10.0.0.1"),
        ("::10.0.0.0/104", "::10.0.0.1"),
        ("64:ff9b::10.0.0.1", "64:ff9b::10.0.0.1"),
        ("64:ff9b::10.0.0.0/104", "64:ff9b::10.0.0.1"),
        ("64:ff9b:1::10.0.0.0/104", "64:ff9b:1::10.0.0.1"),
        ("2002:a00:1::/48", "2002:a00:1::1"),
        ("2002:a00::/24", "2002:a00:1::1"),
        ("2001:0:102:304:0:ffff:f5ff:fffe", "2001:0:102:304:0:ffff:f5ff:fffe"),
        ("fd00::5efe:10.0.0.1", "fd00::5efe:10.0.0.1"),
        ("fd00::200:5efe:10.0.0.0/104", "fd00::200:5efe:10.0.0.1"),
        ("fd00::/8", "fd00::1"),
        ("fe80::/10", "fe80::1%eth0"),
    ],
)
def test_an_allowed_network_works_in_every_spelling(network: str, address: str) -> None:
    assert not NOTHING.allows("bot.example", ip_address(address), 443)
    assert AllowList.parse(network).allows("bot.example", ip_address(address), 443)


def test_an_allowed_address_is_found_with_any_scope_id() -> None:
    assert AllowList.parse("[fe80::1]:9000").allows("bot.example", ip_address("fe80::1%eth0"), 9000)


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("64:ff9b::/96", "64:ff9b::10.0.0.1"),
        ("64:ff9b::/32", "64:ff9b::10.0.0.1"),
        ("64:ff9b:1::/48", "64:ff9b:1::10.0.0.1"),
        ("2002::/16", "2002:a00:1::1"),
        ("2001::/32", "2001:0:102:304:0:ffff:f5ff:fffe"),
        ("fd00::/8", "fd00::5efe:10.0.0.1"),
        ("::/96", "::10.0.0.1"),
        ("::/0", "::10.0.0.1"),
        ("::/0", "::ffff:10.0.0.1"),
        ("64:ff9b::11.0.0.0/104", "64:ff9b::10.0.0.1"),
        ("2002:a00:1::/48", "10.0.0.1"),
    ],
)
def test_an_allowed_ipv6_network_does_not_allow_embedded_ipv4_addresses(network: str, address: str) -> None:
    assert not AllowList.parse(network).allows("bot.example", ip_address(address), 443)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:http",
        "helpdesk.lan",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "fd00::7:x",
        "http://127.0.0.1:9000",
        "*:9000",
        "10.0.0.0/8 fd00::/8",
        ":9000",
    ],
)
def test_an_invalid_allow_list_is_refused_by_setting_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^SHOPBELL_OUTBOUND_ALLOW: must be ") as refused:
        AllowList.parse(f"127.0.0.1:9000,{text}")
    assert text not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "carried"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::127.0.0.1", "127.0.0.1"),
        ("64:ff9b::7f00:1", "127.0.0.1"),
        ("64:ff9b:1::a00:1", "10.0.0.1"),
        ("2002:7f00:1::", "127.0.0.1"),
        ("2001:0:102:304:0:ffff:80ff:fffe", "127.0.0.1"),
        ("2a00::5efe:7f00:1", "127.0.0.1"),
        ("2a00::200:5efe:7f00:1", "127.0.0.1"),
    ],
)
def test_an_embedded_ipv4_address_is_found(address: str, carried: str) -> None:
    found = ip_address(address)
    assert found.version == 6
    assert embedded_ipv4(found) == ip_address(carried)
    assert is_denied(found)


@pytest.mark.parametrize(
    ("address", "denied"), [("2a00:1450:4001::200e", False), ("::1", True), ("::", True), ("fd00::1", True)]
)
def test_an_ordinary_address_embeds_no_other(address: str, denied: bool) -> None:
    found = ip_address(address)
    assert found.version == 6
    assert embedded_ipv4(found) is None
    assert is_denied(found) is denied
