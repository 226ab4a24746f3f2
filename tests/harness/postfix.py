"""A real mail server that passes email on to Shopbell."""

import shutil
import smtplib
from pathlib import Path

from harness.ports import free_port
from harness.programs import PackagedServer, program

# The part that docs/mail.md describes stands at the end.
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
address_verify_poll_count = 10
smtp_host_lookup = native
lmtp_host_lookup = native
{tls}
relay_domains = {domain}
transport_maps = inline:{{ {{ {domain} = {transport} }} }}
smtpd_recipient_restrictions = reject_unauth_destination, reject_unverified_recipient
"""
_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(PackagedServer):
    """A running Postfix.

    Args:
        folder: one that every user may enter.
        domain: whose email it passes on.
        transport: how.
        tls: its settings for the encryption of that.
    """

    started = "daemon started"

    def __init__(self, folder: Path, domain: str, transport: str, tls: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        settings = folder / "settings"
        for each in (settings, folder / "queue", folder / "data"):
            each.mkdir()
        (settings / "main.cf").write_text(_MAIN.format(folder=folder, domain=domain, transport=transport, tls=tls))
        (settings / "master.cf").write_text(_SERVICES.format(port=self.port))
        shutil.chown(folder / "data", "postfix")
        self.command = (program("postfix", "postfix"), "-c", str(settings), "start-fg")

    def send(self, raw: bytes, recipient: str, sender: str = "carol@example.com") -> int:
        """Hand an email over; the code of its response, the last one if it first asks to try again."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo()
            client.mail(sender)
            code = client.rcpt(recipient)[0]
            return client.data(raw)[0] if code == 250 else code
