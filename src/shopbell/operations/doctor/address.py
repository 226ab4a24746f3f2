"""Check the public address: its name, and the certificate of the server there."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from shopbell.operations.doctor.dns_records import TIMEOUT_S, DnsRecords, Unanswered
from shopbell.operations.doctor.findings import Finding, Level, ok
from shopbell.safe_http.addresses import SETTING, is_denied
from shopbell.safe_http.connector import GuardedConnector
from shopbell.safe_http.dns import Resolve
from shopbell.safe_http.errors import AddressDenied, ConnectTimeout, NameNotFound, OutboundFailure
from shopbell.safe_http.hosts import Address, parse_host
from shopbell.safe_http.tls import open_tls
from shopbell.settings.mail import LOOPBACK
from shopbell.settings.settings import Settings

NAME = "public address"
CERTIFICATE = "certificate"
CERTIFICATE_WARNING_DAYS = 14
"""A certificate is renewed before, unless it is valid for less than four times as long."""

_DAY_S = 24 * 60 * 60


async def check_name(settings: Settings, *, resolve: Resolve, records: DnsRecords) -> Finding:
    """Check that the name of the public address has an address.

    Args:
        resolve: finds the addresses of a name, as browsers on this machine do.
        records: asked after ``resolve`` has failed: does the name not exist, or did no name server answer?
    """
    url = settings.public_url
    if url is None:
        detail = "SHOPBELL_PUBLIC_URL is not set: links in emails lead to the address that a request came to"
        return Finding(Level.WARNING, NAME, detail, "set it to the address that customers see")
    host = parse_host(url.host or "")
    if not isinstance(host, str):
        return _reachability(url.host or "", [host])
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return _reachability(host, await resolve(host, url.port or 443))
    except (NameNotFound, TimeoutError):
        pass
    try:
        await records.find_addresses(host)
    except Unanswered:
        detail = f"{host} could not be checked: no name server answered"
        return Finding(Level.WARNING, NAME, detail, "check this machine's network and its name servers")
    remedy = f"add to the zone: {host}. A (the IPv4 address of this server)"
    return Finding(Level.ERROR, NAME, f"{host} has no address", remedy)


async def check_certificate(
    settings: Settings, connector: GuardedConnector, certificates: ssl.SSLContext, *, now_ms: int
) -> Finding | None:
    """Check that the public address has a valid certificate that does not end soon.

    Args:
        connector: opens the connection.
        certificates: those that are trusted.
        now_ms: this machine's time in Unix ms.

    Returns:
        None if there is nothing to check: no public address is set, or it is this machine.
    """
    url = settings.public_url
    if url is None or url.host in LOOPBACK:
        return None
    host, port = url.host or "", url.port or 443
    if url.scheme != "https":
        remedy = "set SHOPBELL_PUBLIC_URL to an https URL, and let a proxy such as Caddy get a certificate"
        return Finding(Level.WARNING, CERTIFICATE, "the public address is not https: others can read passwords", remedy)
    try:
        valid = await _validity(connector, certificates, host.strip("[]"), port, settings.delivery_connect_timeout_s)
    except (AddressDenied, NameNotFound, ConnectTimeout) as failure:
        # A router may also not lead back to its own network.
        remedy = f"check it from another network; to check a private address here, add {host}:{port} to {SETTING}"
        return Finding(Level.WARNING, CERTIFICATE, f"{host}:{port} could not be checked: {failure}", remedy)
    except OutboundFailure as failure:
        remedy = f"check the proxy that should accept https on port {port}, and its certificate for {host}"
        return Finding(Level.ERROR, CERTIFICATE, f"{host}:{port}: {failure}", remedy)
    left_s = valid.end_s - now_ms / 1_000
    detail = f"valid until {datetime.fromtimestamp(valid.end_s, UTC):%Y-%m-%d %H:%M} UTC"
    if left_s > min(CERTIFICATE_WARNING_DAYS * _DAY_S, (valid.end_s - valid.begin_s) / 4):
        return ok(CERTIFICATE, detail)
    remedy = "check why the proxy has not renewed it"
    return Finding(Level.WARNING, CERTIFICATE, f"{detail}: {left_s / _DAY_S:.1f} days are left", remedy)


class _Validity(NamedTuple):
    """When a certificate is valid, in Unix seconds."""

    begin_s: float
    end_s: float


async def _validity(
    connector: GuardedConnector, certificates: ssl.SSLContext, host: str, port: int, timeout_s: float
) -> _Validity:
    """Return when the certificate of a server is valid.

    Raises:
        OutboundFailure: the server cannot be reached, or its certificate is not valid now.
    """
    _, writer = await open_tls(connector, host, port, certificates, timeout_s=timeout_s)
    certificate = writer.get_extra_info("peercert")
    writer.transport.abort()
    begin, end = certificate["notBefore"], certificate["notAfter"]
    return _Validity(ssl.cert_time_to_seconds(begin), ssl.cert_time_to_seconds(end))


def _reachability(host: str, addresses: Sequence[Address]) -> Finding:
    shown = ", ".join(map(str, addresses))
    named = shown if shown == host.strip("[]") else f"{host} has the address {shown}"
    if all(map(is_denied, addresses)):
        detail = f"{named}, which is private: the internet cannot reach it"
        return Finding(Level.WARNING, NAME, detail, "this is right only for a trial, or inside a network of your own")
    return ok(NAME, named)
