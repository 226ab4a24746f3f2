"""Receive email: an LMTP or SMTP server for the operator's own mail server.

It accepts email for addresses that this installation has signed, and for no others; it is not a relay. It confirms an
email after the commit: until then the sending server keeps it. The mail server in front of it filters spam and writes
``Authentication-Results``.
"""

import asyncio
import logging
import os
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP, Session, syntax
from aiosmtpd.smtp import Envelope as Transaction
from prometheus_client import Counter

from shopbell.channels.email.certificate import Certificate
from shopbell.channels.email.intake import RECEIVE_TIMEOUT_S, EmailIntake
from shopbell.email.envelope import Accepted, NotNow, NotWanted, Receive, Verdict
from shopbell.errors import CommandError, StorageError
from shopbell.safe_http.addresses import unmapped
from shopbell.settings.inbound_mail import MailListenerSettings
from shopbell.settings.networks import Network

CONNECTIONS_MAX = 20
"""Each may hold an email of the maximum size in memory."""

RECIPIENTS_MAX = 50
COMMAND_TIMEOUT_S = 60
DATA_TIMEOUT_S = 300
CLOSE_TIMEOUT_S = 5
_COMMANDS_MAX = 10_000  # of one kind in one connection; mail servers keep connections for many emails
_COMMAND_MAX_BYTES = 2_048
_READ_BYTES = 65_536

_OK = "250 2.0.0 Stored"
_LATER = "451 4.3.0 Cannot be stored now; try again later"
_TOO_LARGE = "552 5.3.4 The message is too large"
_UNKNOWN = "550 5.1.1 No such address"
_KINDS = {"250": "kept", "451": "later", "550": "refused", "552": "too_large"}
_NEEDS_TLS = "530 5.7.0 Must issue a STARTTLS command first"
_MANY_RECIPIENTS = "452 4.5.3 Too many recipients"

MAILS = Counter("shopbell_mails_in", "Inbound emails, one for each recipient, by response.", ["answer"])

log = structlog.get_logger()

# The library logs addresses, and everything that a client says.
logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)


class MailListener:
    """Receives emails.

    Args:
        settings: those of this process; ``mail_listen`` is the address.
        accepts: whether email to an address is accepted. A ``StorageError`` means that it is not known at the moment.
        receive: stores one email for one recipient.
        shares_port: whether other processes of the same server listen there too. Then the system distributes the
            connections. Otherwise a port in use is an error.
    """

    def __init__(
        self,
        settings: MailListenerSettings,
        accepts: Callable[[str], Awaitable[bool]],
        receive: Receive,
        *,
        shares_port: bool = False,
    ) -> None:
        self.settings = settings
        self._accepts = accepts
        self.intake = EmailIntake(receive, authserv_id=settings.mail_authserv_id)
        self._shares_port = shares_port
        self.certificate: Certificate | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._released = asyncio.Event()

    async def start(self) -> None:
        """Start to listen.

        Raises:
            CommandError: the address is in use, or does not belong to this machine; or the certificate cannot be read.
        """
        address = self.settings.mail_listen_address
        if address is None:
            return
        if self.settings.mail_tls_certificate is not None:
            self.certificate = Certificate(self.settings.mail_tls_certificate, self.settings.mail_tls_key)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self, loop, is_lmtp=address.protocol == "lmtp"),
                address.host,
                address.port,
                reuse_port=self._shares_port,
            )
        except OSError as error:  # the error's own text depends on the event loop
            reason = (
                "not an address of this machine"
                if isinstance(error, socket.gaierror)
                else os.strerror(error.errno or 0)
            )
            where = f"{address.host}, port {address.port}"
            raise CommandError(f"SHOPBELL_MAIL_LISTEN: cannot listen on {where}: {reason}") from None

    async def close(self) -> None:
        """Accept no more.

        Emails that are being stored get a few seconds; all others stay with their senders.
        """
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections.copy():
            connection.end_when_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while self._connections:
                    self._released.clear()
                    await self._released.wait()
        for connection in self._connections.copy():
            connection.abort()
        await asyncio.sleep(0)  # lets their tasks end before the loop does

    def admit(self, connection: "_Connection", peer: str) -> str | None:
        """Count a new connection, or return the response that refuses it."""
        if not _is_among(peer, self.settings.mail_peer_networks):
            log.warning("email refused: SHOPBELL_MAIL_PEERS does not contain the address of the sending machine")
            return "554 5.7.1 Your address is not allowed"
        if len(self._connections) >= CONNECTIONS_MAX:
            return "421 4.3.2 Too many connections"
        self._connections.add(connection)
        return None

    async def refusal(self, recipient: str) -> str | None:
        """The response that refuses email to an address; None if it is accepted."""
        try:
            async with asyncio.timeout(RECEIVE_TIMEOUT_S):
                return None if await self._accepts(recipient) else _UNKNOWN
        except (StorageError, TimeoutError) as error:
            log.warning("postponed", job="check a recipient", reason=str(error) or "timeout")
        except Exception as error:
            log.error("bug", job="check a recipient", exc_info=error)
        return _LATER

    def release(self, connection: "_Connection") -> None:
        """Count a closed connection."""
        self._connections.discard(connection)
        self._released.set()


class _Connection(SMTP):
    """One connection of a mail server.

    Replaces how the library handles DATA: LMTP has one response per recipient, and lines may have any length. Also
    replaces its STARTTLS, which uses private parts of asyncio.
    """

    line_length_limit = _READ_BYTES
    session: Session
    envelope: Transaction

    def __init__(self, listener: MailListener, loop: asyncio.AbstractEventLoop, *, is_lmtp: bool) -> None:
        self._listener = listener
        self._is_lmtp = is_lmtp
        self._is_busy = False
        self._is_ending = False
        super().__init__(
            self,
            data_size_limit=listener.settings.mail_limit_bytes,
            enable_SMTPUTF8=True,
            hostname=listener.settings.mail_reply_domain or "localhost",
            ident="Shopbell",
            timeout=COMMAND_TIMEOUT_S,
            command_call_limit=_COMMANDS_MAX,
            loop=loop,
        )
        # The library shares one between all connections, and it grows with each greeting.
        self.command_size_limit = _COMMAND_MAX_BYTES
        self.command_size_limits = defaultdict(lambda: _COMMAND_MAX_BYTES)
        self.tls_context = listener.certificate.context() if listener.certificate else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        refusal = self._listener.admit(self, peer[0] if isinstance(peer, tuple) else "")
        if refusal is None:
            super().connection_made(transport)
            return
        plain = cast("asyncio.Transport", transport)
        plain.set_protocol(asyncio.Protocol())
        plain.write(refusal.encode() + b"\r\n")
        plain.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.release(self)
        super().connection_lost(error)

    def end_when_idle(self) -> None:
        """Close the connection, unless an email is being stored."""
        self._is_ending = True
        if not self._is_busy:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once; with TLS, ``close`` would wait for the client."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()
        if self._handler_coroutine is not None:  # it may wait for a handshake
            self._handler_coroutine.cancel()

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 - the library finds commands by these names
        if self._is_lmtp:
            await self.push("500 5.5.1 This is LMTP: use LHLO")
        else:
            await super().smtp_HELO(hostname)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if self._is_lmtp:
            await self.push("500 5.5.1 This is LMTP: use LHLO")
        else:
            await super().smtp_EHLO(hostname)

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, hostname: str) -> None:  # noqa: N802
        """The greeting of LMTP (RFC 2033)."""
        if self._is_lmtp:
            await super().smtp_EHLO(hostname)
        else:
            await self.push("500 5.5.1 This is SMTP: use EHLO")

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        """Encrypt the connection (RFC 3207)."""
        if arg or self.tls_context is None:
            await self.push("501 5.5.4 STARTTLS takes no parameter" if arg else "502 5.5.1 TLS is not available")
            return
        # Commands that arrived without encryption may be another person's: they must not count as encrypted.
        plain = cast("asyncio.Transport", self.transport)
        plain.pause_reading()
        self._reader._buffer.clear()  # type: ignore[attr-defined]  # noqa: SLF001 - as the library does
        await self.push("220 2.0.0 Ready to start TLS")
        encrypted: asyncio.Transport | None = None
        try:
            with suppress(OSError):
                encrypted = await self.loop.start_tls(
                    plain, self, self.tls_context, server_side=True, ssl_handshake_timeout=COMMAND_TIMEOUT_S
                )
        finally:
            if encrypted is None:  # the event loop does not tell a protocol that its handshake failed
                self.connection_lost(None)
        if encrypted is None:
            return
        self.tls_context = None  # it is not offered again
        self.transport = self._writer._transport = encrypted  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        self.session = Session(self.loop)
        self.session.peer = self.transport.get_extra_info("peername")
        self.session.ssl = {"cipher": self.transport.get_extra_info("cipher")}
        self.envelope = Transaction()

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802
        if self._listener.settings.mail_tls_required and self.session.ssl is None:
            await self.push(_NEEDS_TLS)
        else:
            await super().smtp_MAIL(arg)

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802, ARG002
        await self.push("252 2.5.0 Cannot verify; send a message")

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802, ARG002
        await self.push("502 5.5.1 Authentication is not supported")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Transaction, address: str, options: list[str]
    ) -> str:
        """Accept addresses of this installation only: a client can reach no one else."""
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return _MANY_RECIPIENTS
        refusal = await self._listener.refusal(address)
        if refusal is not None:
            MAILS.labels(_KINDS[refusal[:3]]).inc()
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Respond to a command that the library cannot parse.

        The response does not repeat it, for the client's log.
        """
        log.debug("the mail server sent an invalid command", exc_info=error)
        return "500 5.5.2 Syntax error"

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if await self.check_helo_needed("LHLO" if self._is_lmtp else "HELO"):
            return
        if arg or not self.envelope.rcpt_tos:
            await self.push("501 5.5.4 DATA takes no parameter" if arg else "503 5.5.1 No valid recipients")
            return
        self._reset_timeout(DATA_TIMEOUT_S)
        await self.push("354 End with a dot on a line of its own")
        raw = await self._read()
        sender = self.envelope.mail_from or ""
        recipients = self.envelope.rcpt_tos
        self.envelope = Transaction()
        if raw is None:
            answers = [_TOO_LARGE for _ in recipients]
        else:
            self._is_busy = True
            self._reset_timeout(RECEIVE_TIMEOUT_S * (1 + len(recipients)))
            try:
                verdicts = await self._listener.intake.take("" if sender == "<>" else _sound(sender), recipients, raw)
            finally:
                self._is_busy = False
            answers = [_answer(verdict) for verdict in verdicts]
        for answer in answers:
            MAILS.labels(_KINDS[answer[:3]]).inc()
        self._reset_timeout(COMMAND_TIMEOUT_S)
        await self.push("\r\n".join(answers) if self._is_lmtp else _one_of(answers))
        if self._is_ending and self.transport is not None:
            self.transport.close()

    async def _read(self) -> bytes | None:
        """The email without its dot-stuffing (RFC 5321, section 4.5.2).

        None if it is too large.

        An email that is too large is read to its end: a client that is cut off tries again.
        """
        limit_bytes = self._listener.settings.mail_limit_bytes
        pieces: list[bytes] = []
        size_bytes = 0
        begins = True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.read(overrun.consumed)
            if begins and piece == b".\r\n":
                return b"".join(pieces) if size_bytes <= limit_bytes else None
            if begins and piece.startswith(b"."):
                piece = piece[1:]
            begins = piece.endswith(b"\r\n")
            size_bytes += len(piece)
            if size_bytes <= limit_bytes:
                pieces.append(piece)
            else:
                pieces.clear()


def _answer(verdict: Verdict) -> str:
    match verdict:
        case Accepted():
            return _OK
        case NotNow():
            return _LATER
        case NotWanted(reason):
            return f"550 5.7.1 {reason}"


def _one_of(answers: list[str]) -> str:
    """The single response of SMTP: if one recipient failed, the sender repeats all.

    They are stored once.
    """
    return next((each for kind in ("4", "2", "5") for each in answers if each.startswith(kind)), _LATER)


def _sound(address: str) -> str:
    """An address as text: the library keeps invalid bytes as surrogates."""
    return address.encode("utf-8", "replace").decode("utf-8")


def _is_among(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = unmapped(ip_address(peer.partition("%")[0]))
    except ValueError:
        return False
    return any(address in network for network in networks)
