"""A real IMAP server with one mailbox."""

import base64
import os
import time
from pathlib import Path

from harness.certificates import Authority
from harness.ports import free_port
from harness.programs import PackagedServer, program

USER = "reply@shop.example.com"
PASSWORD = "hunter2 #:/é"
_NOBODY = 65_534

_CONFIGURATION = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = {folder}
ssl = required
ssl_cert = <{pem}
ssl_key = <{pem}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/Maildir
mail_max_userip_connections = 100
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  separator = .
  prefix = INBOX.
}}
userdb {{
  driver = static
  args = uid={nobody} gid={nobody} home={folder}/mail
}}
{logins}
"""
_BY_PASSWORD = """
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
"""
_BY_TOKEN = """
auth_mechanisms = oauthbearer xoauth2
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {folder}/oauth2.conf
}}
"""
_INTROSPECTION = """
introspection_mode = post
introspection_url = {url}
username_attribute = username
active_attribute = active
active_value = true
"""


class Dovecot(PackagedServer):
    """A running Dovecot; its mailbox is a folder of files.

    Args:
        folder: one that every user may enter.
        introspection_url: tells whose an access token is (RFC 7662); its user logs in with one, not with a password.
    """

    started = "starting up"

    def __init__(self, folder: Path, introspection_url: str = "") -> None:
        super().__init__(folder)
        self.port = free_port()
        self.authority = Authority()
        self.authority.server("localhost", folder)
        self.trusted = folder / "authority.pem"
        self.authority.save(self.trusted)
        self._delivered = 0
        (folder / "mail").mkdir()
        os.chown(folder / "mail", _NOBODY, _NOBODY)
        password = base64.b64encode(PASSWORD.encode()).decode()
        (folder / "users").write_text(f"{USER}:{{PLAIN.B64}}{password}\n")
        (folder / "oauth2.conf").write_text(_INTROSPECTION.format(url=introspection_url))
        configuration = folder / "dovecot.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                pem=folder / "localhost.pem",
                port=self.port,
                nobody=_NOBODY,
                logins=(_BY_TOKEN if introspection_url else _BY_PASSWORD).format(folder=folder),
            )
        )
        self.command = (program("dovecot", "dovecot-imapd"), "-F", "-c", str(configuration))

    def deliver(self, raw: bytes) -> None:
        """Put an email into the inbox, as a mail server does."""
        inbox = self._folder / "mail" / "Maildir"
        for name in ("tmp", "new", "cur"):
            (inbox / name).mkdir(parents=True, exist_ok=True)
            for each in (inbox, inbox / name):
                os.chown(each, _NOBODY, _NOBODY)
        self._delivered += 1
        name = f"{time.time_ns()}.{self._delivered}.localhost"
        (inbox / "tmp" / name).write_bytes(raw.replace(b"\r\n", b"\n"))
        os.chown(inbox / "tmp" / name, _NOBODY, _NOBODY)
        (inbox / "tmp" / name).rename(inbox / "new" / name)

    def emails(self, folder: str = "") -> list[bytes]:
        """The emails in the inbox, or in another folder."""
        place = self._folder / "mail" / "Maildir" / (f".{folder}" if folder else "")
        return [path.read_bytes() for name in ("new", "cur") for path in sorted((place / name).glob("*"))]

    def number_again(self) -> None:
        """Forget all numbers of emails, as after the loss of its index: UIDVALIDITY changes."""
        for path in (self._folder / "mail" / "Maildir").glob("dovecot*"):
            path.unlink()
