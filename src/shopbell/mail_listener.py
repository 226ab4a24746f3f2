"""Where mail comes in: an LMTP or SMTP server for the operator's own mail server, and no relay.

It takes mail for addresses that this installation has signed and for no others, sends nothing on, and says yes to a
mail only after it is committed: until then the sending server keeps it. The mail server in front of it speaks with the
world: it does TLS, keeps spam out, and writes ``Authentication-Results``.
"""

import asyncio
import logging
import os
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, cast

import structlog
from aiosmtpd.smtp import SMTP, Session, syntax
from aiosmtpd.smtp import Envelope as Transaction
from prometheus_client import Counter

from shopbell.errors import CommandError, StorageError
from shopbell.mail.envelope import Accepted, Envelope, NotNow, NotWanted, Receive, Verdict
from shopbell.mail.parse import IncomingMail, parse
from shopbell.mail_listener_settings import MailListenerSettings
from shopbell.networks import Network

CONNECTIONS_MAX = 20
"""Each may hold a mail of the largest size in memory."""

RECIPIENTS_MAX = 50
COMMAND_TIMEOUT_S = 60
DATA_TIMEOUT_S = 300
RECEIVE_TIMEOUT_S = 60
CLOSE_TIMEOUT_S = 5
_COMMANDS_MAX = 10_000  # of one kind in one connection; mail servers keep connections for many mails
_COMMAND_MAX_BYTES = 2_048
_READ_BYTES = 65_536
_AT_ONCE = 2
"""Mails that are read at the same time: reading keeps a processor busy."""

_OK = "250 2.0.0 Kept"
_LATER = "451 4.3.0 Not kept for now; try again later"
_TOO_LARGE = "552 5.3.4 The mail is too large"
_UNKNOWN = "550 5.1.1 There is no such address here"
_KINDS = {"250": "kept", "451": "later", "550": "refused", "552": "too_large"}
_MANY_RECIPIENTS = "452 4.5.3 Too many recipients at once"

MAILS = Counter("shopbell_mails_in", "Mails that came in, one for each recipient, by what was answered.", ["answer"])

log = structlog.get_logger()

# It logs addresses, and whatever a client says.
logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)


class MailListener:
    """Takes mails in.

    Args:
        settings: those of this process; ``mail_listen`` says where.
        accepts: whether a recipient's address is one of ours; every other one is refused. A ``StorageError`` means that
            this cannot be found out now.
        receive: keeps one mail for one recipient.
        shares_port: whether other processes of the same server listen there, too: then the system shares connections
            out among them. Otherwise a port that is in use is an error.
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
        self._receive = receive
        self._shares_port = shares_port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._released = asyncio.Event()
        self._reading = asyncio.Semaphore(_AT_ONCE)

    async def start(self) -> None:
        """Listen.

        Raises:
            CommandError: the address is taken, or not one of this machine.
        """
        address = self.settings.mail_listen_address
        if address is None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self, loop, is_lmtp=address.protocol == "lmtp"),
                address.host,
                address.port,
                reuse_port=self._shares_port,
            )
        except OSError as error:  # its own text differs from loop to loop
            reason = (
                "not an address of this machine"
                if isinstance(error, socket.gaierror)
                else os.strerror(error.errno or 0)
            )
            where = f"{address.host}, port {address.port}"
            raise CommandError(f"SHOPBELL_MAIL_LISTEN: cannot listen on {where}: {reason}") from None

    async def close(self) -> None:
        """Take no more; what is being kept has a few seconds to be, and what is not stays with its sender."""
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
        await asyncio.sleep(0)  # for their tasks to end before the loop does

    def admit(self, connection: "_Connection", peer: str) -> str | None:
        """Count a connection in, or return what it is told instead."""
        if not _is_among(peer, self.settings.mail_peer_networks):
            log.warning("mail refused: it came from a machine that SHOPBELL_MAIL_PEERS does not name")
            return "554 5.7.1 Not from there"
        if len(self._connections) >= CONNECTIONS_MAX:
            return "421 4.3.2 Too many connections"
        self._connections.add(connection)
        return None

    async def refusal(self, recipient: str) -> str | None:
        """What the sending server is told when a mail to an address is not taken, or None."""
        try:
            async with asyncio.timeout(RECEIVE_TIMEOUT_S):
                return None if await self._accepts(recipient) else _UNKNOWN
        except (StorageError, TimeoutError) as error:
            log.warning("put off", job="look for a recipient", reason=str(error) or "it takes too long")
        except Exception as error:
            log.error("bug", job="look for a recipient", exc_info=error)
        return _LATER

    def release(self, connection: "_Connection") -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._released.set()

    async def take(self, sender: str, recipients: list[str], raw: bytes) -> list[Verdict]:
        """Keep a mail for each of its recipients, and return what came of it for each."""
        try:
            async with self._reading:
                mail = await asyncio.to_thread(
                    parse, raw, authserv_id=self.settings.mail_authserv_id, envelope_sender=sender
                )
        except Exception as error:  # a bug must not be the end of a mail: the sender keeps it, and it is mended
            log.error("bug", job="read a mail", exc_info=error)
            return [NotNow() for _ in recipients]
        return [await self._keep(Envelope(sender, recipient, raw), mail) for recipient in recipients]

    async def _keep(self, envelope: Envelope, mail: IncomingMail) -> Verdict:
        try:
            async with asyncio.timeout(RECEIVE_TIMEOUT_S):
                return await self._receive(envelope, mail)
        except (StorageError, TimeoutError) as error:
            log.warning("put off", job="keep a mail", reason=str(error) or "it takes too long")
        except Exception as error:
            log.error("bug", job="keep a mail", exc_info=error)
        return NotNow()


class _Connection(SMTP):
    """One connection of a mail server. Of the library's protocol what follows DATA is our own: LMTP has one answer for
    each recipient, and lines may have any length."""

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
        # The library's own is one for all connections, and grows with each greeting.
        self.command_size_limit = _COMMAND_MAX_BYTES
        self.command_size_limits = defaultdict(lambda: _COMMAND_MAX_BYTES)

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
        """Close the connection, at once unless a mail is being kept."""
        self._is_ending = True
        if not self._is_busy:
            self.abort()

    def abort(self) -> None:
        """Close the connection, whatever is under way."""
        if self.transport is not None:
            self.transport.close()

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 - the library finds commands by these names
        if self._is_lmtp:
            await self.push("500 5.5.1 This is LMTP: say LHLO")
        else:
            await super().smtp_HELO(hostname)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if self._is_lmtp:
            await self.push("500 5.5.1 This is LMTP: say LHLO")
        else:
            await super().smtp_EHLO(hostname)

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, hostname: str) -> None:  # noqa: N802
        """The greeting of LMTP (RFC 2033)."""
        if self._is_lmtp:
            await super().smtp_EHLO(hostname)
        else:
            await self.push("500 5.5.1 This is SMTP: say EHLO")

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802, ARG002
        await self.push("252 2.5.0 Send a mail to see")

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802, ARG002
        await self.push("502 5.5.1 There is nobody to be here")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Transaction, address: str, options: list[str]
    ) -> str:
        """Take addresses of ours and no others: whoever gets in here can reach nobody else."""
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
        """Answer what the library could not read: without a word of it, which would be in the client's log."""
        log.debug("mail server said what is no command", exc_info=error)
        return "500 5.5.2 Not understood"

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if await self.check_helo_needed("LHLO" if self._is_lmtp else "HELO"):
            return
        if arg or not self.envelope.rcpt_tos:
            await self.push("501 5.5.4 DATA stands alone" if arg else "503 5.5.1 Nobody is to have it")
            return
        self._reset_timeout(DATA_TIMEOUT_S)
        await self.push("354 End with a dot alone in a line")
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
                verdicts = await self._listener.take("" if sender == "<>" else _sound(sender), recipients, raw)
            finally:
                self._is_busy = False
            answers = [_answer(verdict) for verdict in verdicts]
        for answer in answers:
            MAILS.labels(_KINDS[answer[:3]]).inc()
        self._reset_timeout(COMMAND_TIMEOUT_S)
        await self.push("\r\n".join(answers) if self._is_lmtp else _one_of(answers))
        if self._is_ending:
            self.abort()

    async def _read(self) -> bytes | None:
        """The mail without its dots (RFC 5321, section 4.5.2), or None when it is too large: then it is read to its end
        all the same, because a client that is cut off tries again."""
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
    """The answer of SMTP, which has one for all: if one recipient's must come again, all do; they are kept once."""
    return next((each for kind in ("4", "2", "5") for each in answers if each.startswith(kind)), _LATER)


def _sound(address: str) -> str:
    """An address as text: the library keeps wrong bytes as halves of characters."""
    return address.encode("utf-8", "replace").decode("utf-8")


def _is_among(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address: Any = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
