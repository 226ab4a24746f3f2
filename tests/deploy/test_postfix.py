"""Postfix, as docs/mail.md sets it up, passes email on to Shopbell over an encrypted connection."""

from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.installation import Installation
from harness.ports import free_port
from harness.postfix import Postfix
from harness.reply_desk import DOMAIN, ReplyDesk
from harness.world import World

# The client's settings for the encryption are `smtp_…` or `lmtp_…`.
TLS = """
{protocol}_tls_security_level = {level}
{protocol}_tls_CAfile = {authority}
{protocol}_tls_verify_cert_match = hostname
"""
TRANSPORTS = {"smtp": "smtp:[localhost]:{port}", "lmtp": "lmtp:inet:localhost:{port}"}


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_postfix_passes_replies_on_encrypted(
    installation: Installation, people: World, tmp_path: Path, protocol: str
) -> None:
    authority, port = Authority(), free_port()
    authority.save(tmp_path / "authority.pem")
    authority.server("localhost", tmp_path)
    listening = {
        "mail_listen": f"{protocol}://127.0.0.1:{port}",
        "mail_reply_domain": DOMAIN,
        "mail_tls_certificate": tmp_path / "localhost.pem",
        "mail_tls_required": "true",
    }
    transport = TRANSPORTS[protocol].format(port=port)
    verified = TLS.format(protocol=protocol, level="verify", authority=tmp_path / "authority.pem")
    with installation.serving(**listening) as server:
        desk = ReplyDesk(installation, server, people)
        with Postfix.running(DOMAIN, transport, verified) as mail_server:
            assert mail_server.send(desk.reply("Yes, on Friday."), desk.address) == 250, mail_server.log
            desk.wait_for("Yes, on Friday.", log=server)
            unknown = mail_server.send(desk.reply("Hello?"), f"someone@{DOMAIN}")
            assert 400 <= unknown < 600, mail_server.log
        plain = TLS.format(protocol=protocol, level="none", authority=tmp_path / "authority.pem")
        with Postfix.running(DOMAIN, transport, plain) as mail_server:
            assert mail_server.send(desk.reply("In the clear."), desk.address) >= 400
            assert "Must issue a STARTTLS command first" in mail_server.log
    assert desk.texts() == ["Yes, on Friday."]
