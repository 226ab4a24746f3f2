"""``shopbell doctor`` reads the DNS records of email from a name server, and says which lines to add."""

import asyncio
import base64
from collections.abc import Iterable

import dns.rcode
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.name_server import NameServer
from harness.ports import free_port
from shopbell.operations.doctor.dns_records import DnsRecords, Unanswered
from shopbell.operations.doctor.email_records import check_email_records
from shopbell.operations.doctor.findings import Finding, Level
from shopbell.settings.settings import Settings

CHAT, REPLY = "chat.acme.example", "reply.chat.acme.example"
TIMEOUT_S = 60.0
Zone = dict[tuple[str, str], list[str]]


def encoded(key: PublicKeyTypes) -> str:
    """A public key as it is in a DKIM record."""
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


KEY = encoded(rsa.generate_private_key(65_537, 2_048).public_key())


def quoted(text: str) -> str:
    """A TXT record, in parts as zone files must have it."""
    return " ".join(f'"{text[begin : begin + 255]}"' for begin in range(0, len(text), 255))


GOOD: Zone = {
    (CHAT, "TXT"): ['"another=record"', '"v=spf1 a:mail.acme.example -all"'],
    (REPLY, "TXT"): ['"v=spf1 include:_spf.acme.example ~all"'],
    ("_spf.acme.example", "TXT"): ['"v=spf1 ip4:192.0.2.1 -all"'],
    (f"s1._domainkey.{CHAT}", "TXT"): [quoted(f"v=DKIM1; k=rsa; p={KEY}")],
    (f"_dmarc.{CHAT}", "TXT"): ['"v=DMARC1; p=none"'],
    (REPLY, "MX"): ["20 backup.acme.example.", "10 mail.acme.example."],
    ("mail.acme.example", "A"): ["192.0.2.1"],
    ("backup.acme.example", "AAAA"): ["2001:db8::1"],
}


def examine(zone: Zone, **settings: object) -> dict[str, list[Finding]]:
    """The findings by name, with all settings of email unless others are given."""
    given = {
        "smtp_url": "smtp://mail.acme.example",
        "mail_from": f"shop@{CHAT}",
        "mail_reply_domain": REPLY,
        "mail_dkim_selectors": "s1",
    }
    with NameServer(zone) as server:
        records = DnsRecords(server.address, timeout_s=TIMEOUT_S)
        return by_name(asyncio.run(check_email_records(Settings(**(given | settings)), records)))  # type: ignore[arg-type]


def by_name(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for each in findings:
        found.setdefault(each.name, []).append(each)
    return found


def changed(name: str, kind: str, *texts: str) -> Zone:
    """The good zone with other records at one place."""
    return GOOD | {(name, kind): list(texts)}


def test_complete_records_are_good() -> None:
    found = examine(GOOD)
    assert {each.level for findings in found.values() for each in findings} == {Level.OK}
    assert {name: len(findings) for name, findings in found.items()} == {"SPF": 2, "DKIM": 1, "DMARC": 1, "MX": 1}
    assert found["MX"][0].detail == f"{REPLY}: mail.acme.example, backup.acme.example"


def test_without_records_each_finding_has_the_line_to_add() -> None:
    found = examine({("acme.example", "TXT"): ['"nothing"']})
    remedies = [each.remedy for findings in found.values() for each in findings]
    for line in (
        f'{CHAT}. TXT "v=spf1 a:mail.acme.example -all"',
        f'{REPLY}. TXT "v=spf1 a:mail.acme.example -all"',
        f's1._domainkey.{CHAT}. TXT "v=DKIM1; k=rsa; p=…"',
        f'_dmarc.{CHAT}. TXT "v=DMARC1; p=none; rua=mailto:postmaster@acme.example"',
        f"{REPLY}. MX 10 mail.acme.example.",
    ):
        assert any(f"add to the zone: {line}" in remedy for remedy in remedies), line
    assert [found[name][0].level for name in ("SPF", "DKIM", "DMARC", "MX")] == [
        Level.WARNING,
        Level.ERROR,  # a selector is set: the mail server signs
        Level.WARNING,
        Level.ERROR,  # replies get lost
    ]


@pytest.mark.parametrize(
    ("smtp_url", "mechanism", "server"),
    [
        ("smtp://127.0.0.1:25", "a:www.acme.example", "www.acme.example."),
        ("smtps://192.0.2.9", "ip4:192.0.2.9", "mail.acme.example."),
        ("smtps://[2001:db8::9]:465", "ip6:2001:db8::9", "mail.acme.example."),
    ],
)
def test_the_proposed_lines_name_the_server_that_sends(smtp_url: str, mechanism: str, server: str) -> None:
    found = examine({}, smtp_url=smtp_url, smtp_starttls="never", public_url="https://www.acme.example")
    assert f'"v=spf1 {mechanism} -all"' in found["SPF"][0].remedy
    assert f"MX 10 {server}" in found["MX"][0].remedy


@pytest.mark.parametrize(
    ("texts", "level", "detail"),
    [
        (['"v=spf1 a -all"', '"v=spf1 mx -all"'], Level.ERROR, "2 SPF records, so none of them counts"),
        (['"v=spf1 a +all"'], Level.WARNING, "lets every server send"),
        (['"v=spf1 a all"'], Level.WARNING, "lets every server send"),
        (['"v=spf1 a"'], Level.WARNING, "does not say what to do with other servers"),
        (['"v=spf1 redirect=_spf.acme.example"'], Level.OK, ""),
        (['"V=SPF1 a ?ALL"'], Level.OK, ""),
        (['"v=spf10 a -all"'], Level.WARNING, "no SPF record"),
        (['"v=spf1 " "a -all"'], Level.OK, ""),
    ],
)
def test_an_spf_record_is_read_as_mail_servers_read_it(texts: list[str], level: Level, detail: str) -> None:
    found = examine(changed(CHAT, "TXT", *texts))["SPF"][0]
    assert found.level is level
    assert detail in found.detail


def test_an_spf_record_with_too_many_lookups_is_an_error() -> None:
    included = {(f"spf{n}.acme.example", "TXT"): ['"v=spf1 a mx exists:x.example -all"'] for n in range(3)}
    ten = '"v=spf1 include:spf0.acme.example include:spf1.acme.example a mx ip4:192.0.2.1 -all"'
    assert examine(changed(CHAT, "TXT", ten) | included)["SPF"][0].level is Level.OK
    eleven = '"v=spf1 include:spf0.acme.example include:spf1.acme.example a mx a:x.example -all"'
    found = examine(changed(CHAT, "TXT", eleven) | included)["SPF"][0]
    assert (found.level, "more than 10 lookups" in found.detail) == (Level.ERROR, True)
    endless = f'"v=spf1 include:{CHAT} -all"'
    assert examine(changed(CHAT, "TXT", endless))["SPF"][0].level is Level.ERROR


ED25519 = base64.b64encode(
    ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
).decode()
UNKNOWN_KIND = base64.b64encode(bytes.fromhex("300d 3005 0603 2a0304 0304 00616263")).decode()
"""A public key whose algorithm has the made-up name 1.2.3.4."""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"v=DKIM1; k=ed25519; p={ED25519}", None),
        (f"p={KEY}", None),
        (f"v=DKIM1; p={KEY[:100]} {KEY[100:]}", None),
        (f"v=DKIM1; p={KEY[:200]}", "is not a complete key"),
        (f"v=DKIM1; k=ed25519; p={ED25519[:-4]}", "is not a complete key"),
        (f"v=DKIM1; p={UNKNOWN_KIND}", "is a key of an unknown kind"),
        ("v=DKIM1; p=", "is revoked"),
        ("v=DKIM1", "is not a DKIM key"),
        (f"v=DKIM2; p={KEY}", "is not a DKIM key"),
    ],
    ids=range(9),  # the keys are new in each process of a run
)
def test_a_dkim_key_must_be_complete(text: str, fault: str | None) -> None:
    found = examine(changed(f"s1._domainkey.{CHAT}", "TXT", quoted(text)))["DKIM"][0]
    assert found.level is (Level.ERROR if fault else Level.OK)
    assert (fault or "") in found.detail


def test_an_rsa_key_that_mail_servers_refuse_is_an_error() -> None:
    # 512 bits; libraries no longer generate such keys.
    short = (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKr0JgRrXZCA7aIy+6y1dD1Z/bw24RI0aw/fnPGOQeFby3yhTaPiI1vel3kzAUFWaWozbOIN"
        "r05bRyqzRwh6YuUCAwEAAQ=="
    )
    found = examine(changed(f"s1._domainkey.{CHAT}", "TXT", quoted(f"v=DKIM1; p={short}")))["DKIM"][0]
    assert (found.level, "key of 512 bits" in found.detail) == (Level.ERROR, True)


def test_every_selector_is_checked() -> None:
    found = examine(GOOD, mail_dkim_selectors="s1, s2")["DKIM"][0]
    assert (found.level, f"s2._domainkey.{CHAT} has 0 TXT records" in found.detail) == (Level.ERROR, True)


def test_without_selectors_only_the_existence_of_keys_is_checked() -> None:
    found = examine(GOOD, mail_dkim_selectors="")["DKIM"][0]
    assert (found.level, "SHOPBELL_MAIL_DKIM_SELECTORS" in found.detail) == (Level.OK, True)
    without = {place: texts for place, texts in GOOD.items() if "_domainkey" not in place[0]}
    found = examine(without, mail_dkim_selectors="")["DKIM"][0]
    assert (found.level, "has no DKIM key" in found.detail) == (Level.WARNING, True)


@pytest.mark.parametrize(
    ("zone", "level", "detail"),
    [
        ({("_dmarc.acme.example", "TXT"): ['"v=DMARC1; p=reject"']}, Level.OK, "_dmarc.acme.example: "),
        ({(f"_dmarc.{CHAT}", "TXT"): ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"']}, Level.ERROR, "2 DMARC records"),
        ({(f"_dmarc.{CHAT}", "TXT"): ['"v=DMARC1; rua=mailto:x@acme.example"']}, Level.ERROR, "no valid policy"),
        ({(f"_dmarc.{CHAT}", "TXT"): ['"google-site-verification"']}, Level.WARNING, "has no DMARC record"),
        ({("_dmarc.example", "TXT"): ['"v=DMARC1; p=reject"']}, Level.WARNING, "has no DMARC record"),
    ],
)
def test_a_dmarc_record_is_that_of_the_domain_or_of_its_organization(zone: Zone, level: Level, detail: str) -> None:
    without = {place: texts for place, texts in GOOD.items() if not place[0].startswith("_dmarc")}
    found = examine(without | zone)["DMARC"][0]
    assert found.level is level
    assert detail in found.detail


def test_a_reply_domain_of_another_organization_is_a_warning() -> None:
    zone = GOOD | {("globex.example", "TXT"): ['"v=spf1 a -all"'], ("globex.example", "MX"): ["10 mail.acme.example."]}
    found = examine(zone, mail_reply_domain="globex.example")["DMARC"][0]
    assert (found.level, "different organizations" in found.detail) == (Level.WARNING, True)
    assert "below acme.example" in found.remedy


def test_the_host_of_a_mailbox_names_the_mx_record() -> None:
    found = examine({}, imap_url="imaps://shop:secret@imap.acme.example/INBOX")["MX"][0]
    assert (found.level, "that the host of the mailbox names" in found.remedy) == (Level.ERROR, True)


def test_a_domain_that_accepts_no_email_is_an_error() -> None:
    found = examine(changed(REPLY, "MX", "0 ."))["MX"][0]
    assert (found.level, "accepts no email" in found.detail) == (Level.ERROR, True)
    found = examine(changed(REPLY, "MX", "10 gone.acme.example."))["MX"][0]
    assert (found.level, "gone.acme.example" in found.detail) == (Level.ERROR, True)


def test_what_does_not_matter_is_not_checked() -> None:
    assert examine({}, smtp_url=None, mail_from=None, mail_reply_domain=None) == {}
    assert set(examine(GOOD, mail_reply_domain=None)) == {"SPF", "DKIM", "DMARC"}
    assert len(examine(GOOD, mail_reply_domain=CHAT)["SPF"]) == 1


def test_a_name_server_that_fails_is_a_warning_and_no_missing_record() -> None:
    settings = Settings(smtp_url="smtp://mail.acme.example", mail_from=f"shop@{CHAT}", mail_reply_domain=REPLY)  # type: ignore[arg-type]
    with NameServer(failure=dns.rcode.SERVFAIL) as server:
        found = asyncio.run(check_email_records(settings, DnsRecords(server.address, timeout_s=TIMEOUT_S)))
    silent = DnsRecords(("127.0.0.1", free_port()), timeout_s=0.2)
    for findings in (found, asyncio.run(check_email_records(settings, silent))):
        assert {each.level for each in findings} == {Level.WARNING}
        assert all("could not be checked" in each.detail for each in findings)
        assert len(findings) == 5


def test_a_machine_without_name_servers_is_reported_as_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object, **__: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.resolver.BaseResolver.read_resolv_conf", without)
    with pytest.raises(Unanswered):
        asyncio.run(DnsRecords().find("acme.example", "TXT"))
