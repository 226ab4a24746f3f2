"""``shopbell doctor`` checks the public address, its certificate, the mail server and the clock."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import dns.rcode
import pytest

from harness.certificates import Authority
from harness.name_server import NameServer
from harness.ports import free_port
from harness.receivers import LOOPBACK, Receiver, hang, loopback
from harness.smtp import HOST, SmtpServer
from shopbell.channels.email.smtp import SmtpTransport
from shopbell.operations.doctor.address import check_certificate, check_name
from shopbell.operations.doctor.dns_records import DnsRecords
from shopbell.operations.doctor.findings import Finding, Level
from shopbell.operations.doctor.machine import clock, data_folder
from shopbell.operations.doctor.mail import check_smtp
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.connector import GuardedConnector, dial
from shopbell.safe_http.errors import NameNotFound
from shopbell.safe_http.hosts import Address
from shopbell.settings.settings import Settings

CHAT = "chat.acme.example"
DAY_MS = 24 * 60 * 60 * 1_000
TIMEOUT_S = 60.0


def name_finding(url: str | None, *addresses: str, server: NameServer | None = None) -> Finding:
    """What is found out about the name of the public address, if it has these addresses."""

    async def resolve(host: str, port: int) -> Sequence[Address]:
        if not addresses:
            raise NameNotFound("the name has no address")
        return [ip_address(each) for each in addresses]

    settings = Settings(public_url=url)  # type: ignore[arg-type]
    with server or NameServer() as used:
        records = DnsRecords(used.address, timeout_s=TIMEOUT_S)
        return asyncio.run(check_name(settings, resolve=resolve, records=records))


@pytest.mark.parametrize(
    ("url", "addresses", "level", "detail"),
    [
        (f"https://{CHAT}", ["8.8.8.8", "2606:4700::1"], Level.OK, f"{CHAT} has the address 8.8.8.8, 2606:4700::1"),
        (f"https://{CHAT}", ["10.0.0.1", "8.8.8.8"], Level.OK, f"{CHAT} has the address"),
        (f"https://{CHAT}", ["10.0.0.1"], Level.WARNING, "private"),
        ("https://8.8.8.8", [], Level.OK, "8.8.8.8"),
        ("http://[::1]:8080", [], Level.WARNING, "private"),
        (f"https://{CHAT}", [], Level.ERROR, f"{CHAT} has no address"),
        ("https://boutique-münchen.example", [], Level.ERROR, "xn--boutique-mnchen-8vb.example has no address"),
        (None, [], Level.WARNING, "SHOPBELL_PUBLIC_URL is not set"),
    ],
)
def test_the_name_of_the_public_address_is_looked_up(
    url: str | None, addresses: list[str], level: Level, detail: str
) -> None:
    found = name_finding(url, *addresses)
    assert found.level is level
    assert detail in found.detail


def test_a_name_without_address_gets_the_line_to_add() -> None:
    assert f"add to the zone: {CHAT}. A " in name_finding(f"https://{CHAT}").remedy


def test_without_a_network_the_name_could_not_be_checked() -> None:
    found = name_finding(f"https://{CHAT}", server=NameServer(failure=dns.rcode.SERVFAIL))
    assert (found.level, "could not be checked" in found.detail) == (Level.WARNING, True)


class Site:
    """A server at the public address, whose certificate the check trusts or not."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.folder = folder
        self.allowed = LOOPBACK
        self.resolve = loopback

    def examine(
        self, encryption: ssl.SSLContext, *, in_days: float = 0, trust: ssl.SSLContext | None = None
    ) -> Finding | None:
        """What is found out about the certificate."""

        async def run() -> Finding | None:
            async with Receiver(hang).listening(encryption) as receiver:
                return await self._check(receiver.port, in_days, trust)

        return asyncio.run(run())

    def examine_closed(self) -> Finding | None:
        """What is found out if nothing listens."""
        return asyncio.run(self._check(free_port(), 0, None))

    async def _check(self, port: int, in_days: float, trust: ssl.SSLContext | None) -> Finding | None:
        settings = Settings(public_url=f"https://{CHAT}:{port}", delivery_connect_timeout_s=TIMEOUT_S)  # type: ignore[arg-type]
        connector = GuardedConnector(self.allowed, resolve=self.resolve, dial=dial, dns_timeout_s=TIMEOUT_S)
        now_ms = round(time.time() * 1_000 + in_days * DAY_MS)
        return await check_certificate(settings, connector, trust or self.authority.trust(), now_ms=now_ms)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_valid_certificate_is_good_until_it_ends_soon(site: Site) -> None:
    certificate = site.authority.server(CHAT, site.folder)  # for 30 days, of which 27 are left
    found = site.examine(certificate)
    assert found is not None
    assert (found.level, found.detail[:12]) == (Level.OK, "valid until ")
    found = site.examine(certificate, in_days=25)
    assert found is not None
    assert (found.level, "2.0 days are left" in found.detail) == (Level.WARNING, True)
    assert "renewed" in found.remedy


def test_a_certificate_that_browsers_refuse_is_an_error(site: Site) -> None:
    for encryption, trust, why in (
        (site.authority.server(CHAT, site.folder, expired=True), None, "expired"),
        (site.authority.server("other.example", site.folder), None, "is not valid for"),
        (site.authority.server(CHAT, site.folder), Authority().trust(), "not trusted"),
    ):
        found = site.examine(encryption, trust=trust)
        assert found is not None
        assert (found.level, why in found.detail) == (Level.ERROR, True)
        assert "check the proxy" in found.remedy


def test_an_address_at_which_nothing_listens_is_an_error(site: Site) -> None:
    found = site.examine_closed()
    assert found is not None
    assert (found.level, "accepts no connections" in found.detail) == (Level.ERROR, True)


def test_a_private_address_is_reached_only_if_it_is_allowed(site: Site) -> None:
    site.allowed = AllowList()
    found = site.examine(site.authority.server(CHAT, site.folder))
    assert found is not None
    assert (found.level, "could not be checked" in found.detail) == (Level.WARNING, True)
    assert "SHOPBELL_OUTBOUND_ALLOW" in found.remedy


def test_without_a_network_the_certificate_could_not_be_checked(site: Site) -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        raise NameNotFound("the name has no address")

    site.resolve = resolve
    found = site.examine_closed()
    assert found is not None
    assert (found.level, "could not be checked" in found.detail) == (Level.WARNING, True)


@pytest.mark.parametrize(("url", "level"), [("http://chat.acme.example", Level.WARNING), ("http://localhost", None)])
def test_an_address_without_tls_is_a_warning_except_on_this_machine(url: str, level: Level | None) -> None:
    connector = GuardedConnector(AllowList(), resolve=loopback, dial=dial, dns_timeout_s=TIMEOUT_S)
    settings = Settings(public_url=url)  # type: ignore[arg-type]
    found = asyncio.run(check_certificate(settings, connector, Authority().trust(), now_ms=0))
    assert (found and found.level) == level


def smtp_finding(url: str, **settings: object) -> Finding:
    """What is found out about the mail server."""
    given: dict[str, object] = {"smtp_url": url, "mail_from": "shop@acme.example", "smtp_connect_timeout_s": 60}
    chosen = Settings(**(given | settings))  # type: ignore[arg-type]
    return asyncio.run(check_smtp(SmtpTransport.of(chosen), chosen))


def test_the_mail_server_must_accept_the_login() -> None:
    with SmtpServer(needs_login=True) as server:
        place = f"{HOST}:{server.port}"
        good = smtp_finding(f"smtp://shop:right%20horse%2Fbattery@{place}", smtp_starttls="never")
        bad = smtp_finding(f"smtp://shop:canary@{place}", smtp_starttls="never")
        open_ = smtp_finding(f"smtp://{place}")
    assert (good.level, good.detail[: len(place) + 18]) == (Level.OK, f"{place} accepts the login")
    assert (bad.level, "authentication_failed" in bad.detail) == (Level.ERROR, True)
    assert "canary" not in bad.detail + bad.remedy
    assert (open_.level, "SHOPBELL_SMTP_STARTTLS=never" in open_.remedy) == (Level.ERROR, True)
    gone = smtp_finding(f"smtp://{place}", smtp_starttls="never")
    assert (gone.level, "connection_failed" in gone.detail) == (Level.ERROR, True)
    assert server.received == []


@pytest.mark.parametrize(
    ("at_ms", "is_synchronized", "level"),
    [
        (1_796_000_000_000, True, Level.OK),
        (1_796_000_000_000, None, Level.OK),
        (1_796_000_000_000, False, Level.WARNING),
        (0, True, Level.ERROR),
    ],
)
def test_a_clock_that_nothing_synchronizes_is_a_warning(at_ms: int, is_synchronized: bool | None, level: Level) -> None:
    assert clock(at_ms, is_synchronized=lambda: is_synchronized).level is level


def test_the_system_is_asked_about_the_clock() -> None:
    assert clock(1_796_000_000_000).level in (Level.OK, Level.WARNING)


def test_the_data_folder_must_be_one_that_this_user_may_write(tmp_path: Path) -> None:
    assert data_folder(tmp_path / "not" / "yet" / "shopbell.db").level is Level.OK
    (tmp_path / "file").touch()
    assert data_folder(tmp_path / "file" / "shopbell.db").level is Level.ERROR
