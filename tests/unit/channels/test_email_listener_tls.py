"""Mail servers can encrypt the connection to the listener with STARTTLS (RFC 3207)."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from harness.certificates import Authority
from harness.ports import free_port
from shopbell.channels.email import listener as listener_module
from shopbell.channels.email.listener import MailListener
from shopbell.email.envelope import Accepted, Envelope, Verdict
from shopbell.email.parse import IncomingEmail
from shopbell.errors import CommandError, SettingsError
from shopbell.settings.inbound_mail import MailListenerSettings
from shopbell.settings.settings import load

HOST = "chat.shop.example.com"
OURS = "reply+ours@mail.shop.example.com"
CAROL = "carol@example.com"
MAIL = b"From: Carol <carol@example.com>\r\nSubject: Hello\r\n\r\nYes, on Friday.\r\n"
WAIT_S = 60


class Server:
    """A listener with a certificate, and the envelopes that it stored."""

    def __init__(self, folder: Path, protocol: str = "smtp", **settings: Any) -> None:
        self.authority = Authority()
        self.pem = folder / f"{HOST}.pem"
        self.authority.server(HOST, folder)
        self.port = free_port()
        self.stored: list[Envelope] = []
        given = {
            "mail_listen": f"{protocol}://127.0.0.1:{self.port}",
            "mail_reply_domain": "mail.shop.example.com",
            "mail_tls_certificate": self.pem,
        }
        self._settings = MailListenerSettings(**given | settings)

    async def _accepts(self, address: str) -> bool:
        return address == OURS

    async def _receive(self, envelope: Envelope, _: IncomingEmail) -> Verdict:
        self.stored.append(envelope)
        return Accepted()

    def serve(self, client: Callable[[], Any], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> Any:
        """Listen while a client runs in a thread; returns its result."""

        async def run() -> Any:
            listener = MailListener(self._settings, self._accepts, self._receive)
            await listener.start()
            try:
                return await asyncio.to_thread(client)
            finally:
                await listener.close()

        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(run())

    def connect(self, kind: type[smtplib.SMTP] = smtplib.SMTP) -> smtplib.SMTP:
        """Connect without encryption."""
        return kind("127.0.0.1", self.port, timeout=WAIT_S)

    def encrypt(self, client: smtplib.SMTP) -> str:
        """Use STARTTLS and check the certificate; returns its serial number."""
        client._host = HOST  # type: ignore[attr-defined]  # the name that is checked
        client.starttls(context=self.authority.trust())
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop])
def test_a_large_email_arrives_encrypted(tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    server = Server(tmp_path)
    large = MAIL + (b"x" * 998 + b"\r\n") * 2_000

    def send() -> None:
        with server.connect() as client:
            client.ehlo()
            assert "starttls" in client.esmtp_features
            server.encrypt(client)
            client.ehlo()
            assert "starttls" not in client.esmtp_features
            assert "auth" not in client.esmtp_features
            assert client.docmd("STARTTLS")[0] == 502
            assert client.sendmail(CAROL, [OURS], large) == {}
            assert client.sendmail(CAROL, [OURS], MAIL) == {}

    server.serve(send, loop)
    assert [each.raw for each in server.stored] == [large, MAIL]


def test_lmtp_is_encrypted_too(tmp_path: Path) -> None:
    server = Server(tmp_path, "lmtp", mail_tls_required=True)

    def send() -> None:
        with server.connect(smtplib.LMTP) as client:
            client.ehlo()
            assert client.docmd("MAIL", f"FROM:<{CAROL}>") == (530, b"5.7.0 Must issue a STARTTLS command first")
            server.encrypt(client)
            assert client.sendmail(CAROL, [OURS], MAIL) == {}

    server.serve(send)
    assert len(server.stored) == 1


def test_without_a_certificate_tls_is_not_offered(tmp_path: Path) -> None:
    server = Server(tmp_path, mail_tls_certificate=None)

    def send() -> None:
        with server.connect() as client:
            client.ehlo()
            assert "starttls" not in client.esmtp_features
            assert client.docmd("STARTTLS")[0] == 502
            assert client.sendmail(CAROL, [OURS], MAIL) == {}

    server.serve(send)


def test_what_was_said_before_the_handshake_does_not_count_after_it(tmp_path: Path) -> None:
    server = Server(tmp_path)

    def send() -> int:
        with server.connect() as client:
            client.ehlo()
            client.mail("mallory@example.org")
            client.rcpt(OURS)
            server.encrypt(client)
            return client.docmd("DATA")[0]

    assert server.serve(send) == 503


def inject(server: Server) -> bytes:
    """Send a command without encryption behind STARTTLS; returns the first encrypted response.

    That of the next encrypted command is ``250``, that of the injected one ``252``.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as plain:
        assert plain.recv(100).startswith(b"220 ")
        plain.sendall(b"STARTTLS\r\nVRFY injected\r\n")
        assert plain.recv(100).startswith(b"220 ")
        with server.authority.trust().wrap_socket(plain, server_hostname=HOST) as encrypted:
            encrypted.sendall(b"NOOP\r\n")
            return encrypted.recv(4)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop])
def test_a_command_injected_before_the_handshake_is_ignored(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    server = Server(tmp_path)
    assert server.serve(lambda: inject(server), loop) == b"250 "


def test_without_the_protection_an_injected_command_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""

    class Forgetful(bytearray):
        def clear(self) -> None:
            """Keep what arrived without encryption."""

    create = asyncio.StreamReader.__init__

    def keep(reader: asyncio.StreamReader, *arguments: Any, **options: Any) -> None:
        create(reader, *arguments, **options)
        reader._buffer = Forgetful()  # type: ignore[attr-defined]

    monkeypatch.setattr(listener_module.asyncio.StreamReader, "__init__", keep)
    server = Server(tmp_path)
    assert server.serve(lambda: inject(server)) == b"252 "


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    server = Server(tmp_path)

    def serial() -> str:
        with server.connect() as client:
            return server.encrypt(client)

    def renew() -> tuple[str, str, str]:
        first = serial()
        good = server.pem.read_bytes()
        replace(server.pem, good[: len(good) // 2])
        while_broken = serial()
        server.authority.server(HOST, tmp_path / "new")
        replace(server.pem, (tmp_path / "new" / server.pem.name).read_bytes())
        return first, while_broken, serial()

    (tmp_path / "new").mkdir()
    first, while_broken, renewed = server.serve(renew)
    assert first == while_broken
    assert renewed != first


def replace(path: Path, content: bytes) -> None:
    """Replace a file in one step, as programs that renew certificates do."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop])
def test_a_failed_handshake_ends_its_connection_only(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    server = Server(tmp_path)

    def send() -> None:
        for handshake in (b"EHLO no.tls\r\n", b""):
            with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as plain:
                assert plain.recv(100).startswith(b"220 ")
                plain.sendall(b"STARTTLS\r\n")
                assert plain.recv(100).startswith(b"220 ")
                if handshake:
                    plain.sendall(handshake)
                    while plain.recv(100):
                        pass
        with server.connect() as client:
            server.encrypt(client)
            assert client.sendmail(CAROL, [OURS], MAIL) == {}

    server.serve(send, loop)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop])
def test_at_shutdown_encrypted_connections_are_closed(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    server = Server(tmp_path)
    opened: list[smtplib.SMTP | socket.socket] = []

    def open_two() -> None:
        client = server.connect()
        server.encrypt(client)
        between = socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)
        assert between.recv(100).startswith(b"220 ")
        between.sendall(b"STARTTLS\r\n")
        assert between.recv(100).startswith(b"220 ")
        opened.extend((client, between))

    server.serve(open_two, loop)
    for each in opened:
        received = each.recv(100) if isinstance(each, socket.socket) else each.sock.recv(100)  # type: ignore[union-attr]
        assert received == b""
        each.close()


def test_a_certificate_that_cannot_be_loaded_is_reported_at_start(tmp_path: Path) -> None:
    Authority().server("other.example.com", tmp_path)
    wrong_key = tmp_path / "other.example.com.pem"
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"no certificate")
    for settings, message in (
        ({"mail_tls_certificate": tmp_path / "missing.pem"}, "cannot be read: No such file"),
        ({"mail_tls_certificate": garbage}, "must contain a certificate"),
        ({"mail_tls_key": wrong_key}, "the key does not belong to the certificate"),
    ):
        with pytest.raises(CommandError, match=f"SHOPBELL_MAIL_TLS_CERTIFICATE: .*{message}"):
            Server(tmp_path, **settings).serve(lambda: None)


@pytest.mark.parametrize("setting", [{"mail_tls_key": "key.pem"}, {"mail_tls_required": True}])
def test_tls_settings_need_a_certificate(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(SettingsError, match=f"MAIL_TLS_CERTIFICATE is required with SHOPBELL_{name.upper()}"):
        load(**setting)
