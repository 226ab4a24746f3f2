"""Check the DNS records without which emails end up as spam, or replies get lost."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable
from functools import cache
from ipaddress import ip_address

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from publicsuffixlist import PublicSuffixList

from shopbell.channels.email.smtp import SmtpTransport
from shopbell.operations.doctor.dns_records import DnsRecords, Unanswered, mail_servers
from shopbell.operations.doctor.findings import Finding, Level, ok
from shopbell.settings.mail import LOOPBACK
from shopbell.settings.settings import Settings

SPF_LOOKUPS_MAX = 10
"""RFC 7208, section 4.6.4. Receivers treat a record with more lookups as invalid."""
RSA_BITS_MIN = 1_024
"""RFC 8301, section 3.2."""

_ED25519_BYTES = 32
_SPF_LOOKUPS = ("include", "a", "mx", "ptr", "exists", "redirect")
_SPAM = "many mail servers treat its emails as spam"


async def check_email_records(settings: Settings, records: DnsRecords) -> list[Finding]:
    """Check SPF, DKIM and DMARC of the sender's domain, and SPF and MX of the domain for replies.

    Returns:
        The findings; none if no sender is set.
    """
    if settings.mail_from is None:
        return []
    sender, replies = settings.mail_from.rpartition("@")[2].lower(), settings.mail_reply_domain
    server = _sending_server(settings)
    checks = [
        _answered("SPF", sender, _spf(records, sender, server)),
        _answered("DKIM", sender, _dkim(records, sender, settings.dkim_selectors)),
        _answered("DMARC", sender, _dmarc(records, sender, replies)),
    ]
    if replies is not None:
        # The envelope sender of emails is in that domain.
        checks += [] if replies == sender else [_answered("SPF", replies, _spf(records, replies, server))]
        checks.append(_answered("MX", replies, _mx(records, replies, None if settings.mailbox else server)))
    return list(await asyncio.gather(*checks))


async def _answered(name: str, domain: str, check: Awaitable[Finding]) -> Finding:
    try:
        return await check
    except Unanswered:
        detail = f"{domain} could not be checked: no name server answered"
        return Finding(Level.WARNING, name, detail, "check this machine's network and its name servers")


def _sending_server(settings: Settings) -> str:
    """Return the name or address of the server that probably sends the emails."""
    transport = SmtpTransport.of(settings)
    host = "" if transport is None else transport.host
    if host in ("", *LOOPBACK):  # this machine sends them
        host = (settings.public_url.host if settings.public_url else None) or "mail.example.org"
    return host.strip("[]")


async def _spf(records: DnsRecords, domain: str, server: str) -> Finding:
    found = [text for text in await records.find(domain, "TXT") or () if text.lower().split(" ")[0] == "v=spf1"]
    if not found:
        line = f'{domain}. TXT "v=spf1 {_mechanism(server)} -all"'
        remedy = f"add to the zone: {line}; if a provider sends the emails, use the include: that it names"
        return Finding(Level.WARNING, "SPF", f"{domain} has no SPF record: {_SPAM}", remedy)
    if len(found) > 1:
        detail = f"{domain} has {len(found)} SPF records, so none of them counts (RFC 7208)"
        return Finding(Level.ERROR, "SPF", detail, "merge them into one record")
    terms = found[0].lower().split()[1:]
    if {"all", "+all"} & set(terms):
        detail = f"{domain} lets every server send its emails: {found[0]}"
        return Finding(Level.WARNING, "SPF", detail, "end the record with -all")
    if not any(term in ("-all", "~all", "?all") or term.startswith("redirect=") for term in terms):
        detail = f"{domain} does not say what to do with other servers: {found[0]}"
        return Finding(Level.WARNING, "SPF", detail, "end the record with -all")
    if await _spf_lookups(records, found[0], SPF_LOOKUPS_MAX) > SPF_LOOKUPS_MAX:
        detail = (
            f"the SPF record of {domain} takes more than {SPF_LOOKUPS_MAX} lookups, so it does not count (RFC 7208)"
        )
        return Finding(Level.ERROR, "SPF", detail, "remove each include: of a provider that you do not use")
    return ok("SPF", f"{domain}: {found[0]}")


async def _spf_lookups(records: DnsRecords, record: str, limit: int) -> int:
    """Count the lookups that a record takes, with those of records that it includes; stops above the limit."""
    count = 0
    for term in record.lower().split()[1:]:
        name, _, target = term.lstrip("+-~?").replace("=", ":", 1).partition(":")
        if name.partition("/")[0] not in _SPF_LOOKUPS:
            continue
        count += 1
        if count > limit:
            return count
        if name in ("include", "redirect") and target and "%" not in target:  # a macro depends on the email
            for text in await records.find(target, "TXT") or ():
                if text.lower().startswith("v=spf1 "):
                    count += await _spf_lookups(records, text, limit - count)
    return count


def _mechanism(server: str) -> str:
    try:
        return f"ip{ip_address(server).version}:{server}"
    except ValueError:
        return f"a:{server}"


async def _dkim(records: DnsRecords, domain: str, selectors: tuple[str, ...]) -> Finding:
    below = f"_domainkey.{domain}"
    if not selectors:
        # A name server answers NXDOMAIN only if there is no name below, either (RFC 8020).
        if await records.find(below, "TXT") is None:
            remedy = f"let the mail server sign emails, and add the record that it names, such as s1.{below}. TXT"
            return Finding(Level.WARNING, "DKIM", f"{domain} has no DKIM key: {_SPAM}", remedy)
        return ok("DKIM", f"{below} exists; set SHOPBELL_MAIL_DKIM_SELECTORS to check its keys")
    for selector in selectors:
        name = f"{selector}.{below}"
        found = await records.find(name, "TXT") or []
        if len(found) != 1:
            detail = f"{name} has {len(found)} TXT records instead of one: signed emails are not valid"
            remedy = f'add to the zone: {name}. TXT "v=DKIM1; k=rsa; p=…" with the public key of the mail server'
            return Finding(Level.ERROR, "DKIM", detail, remedy)
        if fault := _key_fault(_tags(found[0])):
            remedy = "copy the record from the mail server again, in parts of at most 255 characters"
            return Finding(Level.ERROR, "DKIM", f"{name} {fault}", remedy)
    return ok("DKIM", f"{domain} has a key for {', '.join(selectors)}")


def _key_fault(tags: dict[str, str]) -> str | None:
    """Return what is wrong with a DKIM key (RFC 6376, section 3.6.1), as the end of a sentence."""
    if tags.get("v", "DKIM1") != "DKIM1" or "p" not in tags:
        return "is not a DKIM key"
    if not tags["p"]:
        return "is revoked: its key is empty"
    try:
        key = base64.b64decode("".join(tags["p"].split()), validate=True)
        if tags.get("k", "rsa") == "ed25519":
            return None if len(key) == _ED25519_BYTES else "is not a complete key"
        public = load_der_public_key(key)
    except (binascii.Error, ValueError):
        return "is not a complete key"
    except UnsupportedAlgorithm:
        return "is a key of an unknown kind"
    if isinstance(public, RSAPublicKey) and public.key_size < RSA_BITS_MIN:
        return f"is a key of {public.key_size} bits, which mail servers refuse (RFC 8301)"
    return None


async def _dmarc(records: DnsRecords, domain: str, replies: str | None) -> Finding:
    organization = _organizational(domain)
    for owner in dict.fromkeys((domain, organization)):  # without a record, that of the organization counts
        texts = await records.find(f"_dmarc.{owner}", "TXT") or ()
        found = [text for text in texts if _tags(text).get("v") == "DMARC1"]
        if found:
            break
    else:
        line = f'_dmarc.{domain}. TXT "v=DMARC1; p=none; rua=mailto:postmaster@{organization}"'
        return Finding(Level.WARNING, "DMARC", f"{domain} has no DMARC record: {_SPAM}", f"add to the zone: {line}")
    if len(found) > 1:
        detail = f"_dmarc.{owner} has {len(found)} DMARC records, so none of them counts (RFC 7489)"
        return Finding(Level.ERROR, "DMARC", detail, "remove all but one")
    if _tags(found[0]).get("p") not in ("none", "quarantine", "reject"):
        remedy = "begin it with v=DMARC1; p=none; and use quarantine later"
        return Finding(Level.ERROR, "DMARC", f"_dmarc.{owner} has no valid policy: {found[0]}", remedy)
    if replies is not None and _organizational(replies) != organization:
        detail = f"SPF does not count for DMARC, because {replies} and {domain} belong to different organizations"
        remedy = f"set SHOPBELL_MAIL_REPLY_DOMAIN to a domain below {organization}"
        return Finding(Level.WARNING, "DMARC", detail, remedy)
    return ok("DMARC", f"_dmarc.{owner}: {found[0]}")


async def _mx(records: DnsRecords, domain: str, server: str | None) -> Finding:
    """Check that replies reach a mail server.

    Args:
        server: the one that probably receives them, for the line to add; None if the host of a mailbox names it.
    """
    remedy = f"add to the zone the MX record for {domain} that the host of the mailbox names"
    if server is not None:
        named = server if _mechanism(server).startswith("a:") else f"mail.{_organizational(domain)}"
        remedy = f"add to the zone: {domain}. MX 10 {named}."
    servers = mail_servers(await records.find(domain, "MX") or ())
    if not servers:
        return Finding(Level.ERROR, "MX", f"{domain} has no MX record: replies by email get lost", remedy)
    if servers == [""]:
        return Finding(Level.ERROR, "MX", f"the MX record of {domain} says that it accepts no email", remedy)
    for each in servers:
        if not await records.find_addresses(each):
            detail = f"{each}, in the MX record of {domain}, has no address"
            return Finding(
                Level.ERROR, "MX", detail, f"add to the zone: {each}. A (the IPv4 address of the mail server)"
            )
    return ok("MX", f"{domain}: {', '.join(servers)}")


def _organizational(domain: str) -> str:
    """Return the domain that was registered: ``example.co.uk`` for ``chat.example.co.uk``."""
    registered: str | None = _suffixes().privatesuffix(domain)
    return registered or domain


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()  # reading the list takes 0.1 s


def _tags(text: str) -> dict[str, str]:
    """Parse ``v=DKIM1; k=rsa`` (RFC 6376, section 3.2)."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}
