"""Send email by the operator's SMTP server (RFC 5321).

The operator names the server in a setting; tenants cannot. It may be in the local network, so the guard against private
addresses, which webhooks need, does not apply.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from shopbell.email.outgoing import OutgoingEmail
from shopbell.notifications.outcomes import Outcome, Refused, Sent, TryLater, Unknown
from shopbell.settings.mail import SMTP_PORTS
from shopbell.settings.settings import Settings

CONNECTIONS_MAX = 4
IDLE_MAX_S = 20.0
EMAILS_PER_CONNECTION = 100

_STATUS = re.compile(r"(?P<class>[245])\.(?P<subject>\d{1,3})\.(?P<detail>\d{1,3})(?!\d)", re.ASCII)
_DOT = re.compile(rb"^\.", re.MULTILINE)
# RFC 3463, by subject and detail, and then by subject alone. The text of a response is not stored: it quotes addresses.
_REASONS = {
    (1, 1): "mailbox_unknown",
    (1, 2): "host_unknown",
    (1, 10): "host_unknown",  # it accepts no email (RFC 7505)
    (2, 1): "mailbox_disabled",
    (2, 2): "mailbox_full",
    (2, 3): "mail_too_large",
    (3, 4): "mail_too_large",
    1: "address_refused",
    2: "mailbox_unavailable",
    3: "mail_system_trouble",
    4: "network_trouble",
    5: "protocol_error",
    6: "content_refused",
    7: "policy_refused",
}
_WITHOUT_STATUS = {
    450: "mailbox_unavailable",
    451: "mail_system_trouble",
    452: "mail_system_full",
    550: "mailbox_unavailable",
    551: "mailbox_unavailable",
    552: "mail_too_large",
    553: "address_refused",
    554: "mail_refused",
}
# The operator must fix these; no email is given up because of them.
_OPERATORS_TROUBLE = {
    421: "server_closes",
    503: "protocol_error",
    530: "authentication_required",
    534: "authentication_failed",
    535: "authentication_failed",
    538: "authentication_failed",
}

log = structlog.get_logger()


@dataclass(slots=True)
class _Progress:
    """The progress of an attempt.

    Once the email is being written, a lost connection proves nothing.

    Args:
        is_written: whether the email is being written.
        answer: the last response of the server, or the error. It may contain addresses and is not logged.
    """

    is_written: bool = False
    answer: str = ""

    def note(self, code: int, text: str) -> None:
        self.answer = f"{code} {text}"

    def lost(self, reason: str) -> Outcome:
        return Unknown(reason) if self.is_written else TryLater(reason)


class _Failed(Exception):
    """An attempt ended before the email was written, and not because of the email.

    Args:
        reason: why.
        answer: the response of the server, or the error.
    """

    def __init__(self, reason: str, answer: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


class _Connection:
    """A connection that is encrypted and logged in, and when it was opened and used."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.emails = 0
        self.used_s = time.monotonic()

    @property
    def is_good(self) -> bool:
        """Whether another email may be sent through it."""
        is_fresh = time.monotonic() - self.used_s < IDLE_MAX_S and self.emails < EMAILS_PER_CONNECTION
        return self.client.is_connected and is_fresh


class SmtpTransport:
    """Sends emails; reuses connections for a short time.

    Args:
        url: ``smtp://user:password@host:587`` or ``smtps://…:465``.
        needs_starttls: whether ``smtp://`` must switch to TLS, or nothing is sent.
        hello_name: our host name in the greeting.
        connect_timeout_s: seconds to connect, including TLS and login.
        timeout_s: seconds for one email, including the connection.
        ssl_context: the trusted certificates; None for those of the system.
    """

    def __init__(
        self,
        url: str,
        *,
        needs_starttls: bool,
        hello_name: str,
        connect_timeout_s: float,
        timeout_s: float,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._parts = urlsplit(url)
        self._needs_starttls = needs_starttls
        self._hello_name = hello_name
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._ssl_context = ssl_context
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._idle: list[_Connection] = []

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The channel that the settings configure, if they do."""
        if settings.smtp_url is None:
            return None
        return cls(
            settings.smtp_url.get_secret_value(),
            needs_starttls=settings.smtp_starttls == "required",
            hello_name=settings.mail_sender.rpartition("@")[2],
            connect_timeout_s=settings.smtp_connect_timeout_s,
            timeout_s=settings.smtp_timeout_s,
        )

    async def send(self, item: OutgoingEmail) -> Outcome:
        """Send an email once.

        Returns:
            Unknown if the connection was lost or timed out while the email was being written.
        """
        outcome, _ = await self.send_and_quote(item)
        return outcome

    async def send_and_quote(self, item: OutgoingEmail) -> tuple[Outcome, str]:
        """Send an email once.

        Also returns the last response or error, for the operator only.

        Returns:
            The outcome, as for ``send``; and the response, which may contain addresses or be empty.
        """
        try:
            content = item.as_bytes()
        except ValueError as error:  # a bug: it is not sent, and the log has the error
            log.error("bug", job="send an email", exc_info=error)
            return Refused("mail_is_not_valid"), ""
        progress = _Progress()
        async with self._free:
            try:
                async with asyncio.timeout(self._timeout_s):
                    outcome = await self._attempt(item, content, progress)
            except TimeoutError:
                outcome = progress.lost("timeout")
        return outcome, progress.answer

    @property
    def host(self) -> str:
        """The name or address of the server."""
        return self._parts.hostname or ""

    @property
    def server(self) -> str:
        """Host and port of the server."""
        return f"{self.host}:{self._parts.port or SMTP_PORTS[self._parts.scheme]}"

    @property
    def has_login(self) -> bool:
        """Whether it logs in before it sends."""
        return self._parts.username is not None

    async def try_login(self) -> tuple[str | None, str]:
        """Connect and log in without sending an email.

        Returns:
            The reason why that failed, or None; and the response or error, for the operator only.
        """
        try:
            client = await self._connect()
        except _Failed as failed:
            return failed.reason, failed.answer
        await self._end(client)
        return None, ""

    async def close(self) -> None:
        """Say goodbye on all open connections."""
        connections, self._idle = self._idle, []
        for connection in connections:
            await self._end(connection.client)

    async def _attempt(self, email: OutgoingEmail, content: bytes, progress: _Progress) -> Outcome:
        try:
            connection = await self._connection()
            try:
                outcome = await _transaction(connection.client, email, content, progress)
                connection.emails += 1
                connection.used_s = time.monotonic()
                self._idle.append(connection)
            finally:
                if connection not in self._idle:
                    connection.client.close()
        except _Failed as failed:
            progress.answer = failed.answer
            return TryLater(failed.reason)
        except aiosmtplib.SMTPResponseException as error:  # a response that breaks the protocol
            progress.note(error.code, error.message)
            return progress.lost("protocol_error" if error.code < 0 else _reason(error.code, error.message))
        except aiosmtplib.SMTPTimeoutError:
            return progress.lost("timeout")
        except (aiosmtplib.SMTPException, OSError):
            return progress.lost("connection_lost")
        return outcome

    async def _connection(self) -> _Connection:
        """A working connection: the server may have closed an idle one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_good:
                try:
                    await connection.client.rset()
                except (aiosmtplib.SMTPException, OSError):
                    connection.client.close()
                    continue
                return connection
            await self._end(connection.client)
        return _Connection(await self._connect())

    async def _connect(self) -> aiosmtplib.SMTP:
        parts = self._parts
        is_tls = parts.scheme == "smtps"
        client = aiosmtplib.SMTP(
            hostname=parts.hostname,
            port=parts.port or SMTP_PORTS[parts.scheme],
            use_tls=is_tls,
            start_tls=self._needs_starttls and not is_tls,
            local_hostname=self._hello_name,
            timeout=self._timeout_s,  # per response; the caller limits the whole attempt
            tls_context=self._ssl_context,
        )
        with _telling_what_failed():
            async with asyncio.timeout(self._connect_timeout_s):
                try:
                    await client.connect()
                    if parts.username is not None:
                        await client.login(unquote(parts.username), unquote(parts.password or ""))
                    if client.is_ehlo_or_helo_needed:
                        await client.ehlo()
                except BaseException:
                    client.close()
                    raise
        return client

    async def _end(self, client: aiosmtplib.SMTP) -> None:
        try:
            async with asyncio.timeout(1):
                await client.quit()
        except (aiosmtplib.SMTPException, OSError):
            pass  # the goodbye does not matter
        finally:
            client.close()


async def _transaction(client: aiosmtplib.SMTP, email: OutgoingEmail, content: bytes, progress: _Progress) -> Outcome:
    """The commands for one email, in order."""
    options = [f"SIZE={len(content)}"] if client.supports_extension("size") else []
    encoding = "ascii"
    if email.needs_utf8:
        if not client.supports_extension("smtputf8"):
            return Refused("address_needs_smtputf8")
        options.append("SMTPUTF8")
        encoding = "utf-8"
    try:
        await client.mail(email.sender, options=options, encoding=encoding)
        await client.rcpt(email.recipient, encoding=encoding)
    except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused) as refused:
        progress.note(refused.code, refused.message)
        return _refusal(refused.code, refused.message)
    ready = await client.execute_command(b"DATA")
    progress.note(ready.code, ready.message)
    if ready.code != aiosmtplib.SMTPStatus.start_input:
        return _refusal(ready.code, ready.message)
    protocol = client.protocol
    if protocol is None:
        return TryLater("connection_lost")
    # Not client.data(): it would not tell whether the email had been written when the connection was lost.
    progress.is_written = True
    protocol.write(_DOT.sub(b"..", content) + b".\r\n")
    progress.answer = ""
    answer = await protocol.read_response()
    progress.note(answer.code, answer.message)
    if answer.code == aiosmtplib.SMTPStatus.completed:
        return Sent()
    return _refusal(answer.code, answer.message)


def _refusal(code: int, message: str) -> Outcome:
    """The outcome of a response that is not a success."""
    if code in _OPERATORS_TROUBLE:
        return TryLater(_OPERATORS_TROUBLE[code])
    reason = _reason(code, message)
    return Refused(reason) if code >= 500 else TryLater(reason)


def _reason(code: int, message: str) -> str:
    """The short reason, and the status as a number."""
    status = _STATUS.match(message)
    if status is None or status["class"] != str(code)[:1]:
        return f"{_WITHOUT_STATUS.get(code, 'mail_refused')} {code}"
    subject, detail = int(status["subject"]), int(status["detail"])
    return f"{_REASONS.get((subject, detail)) or _REASONS.get(subject, 'mail_refused')} {status[0]}"


@contextmanager
def _telling_what_failed() -> Iterator[None]:
    """Map errors while connecting to short reasons.

    The library's texts contain host names and responses.
    """
    try:
        yield
    except aiosmtplib.SMTPAuthenticationError as error:
        reason = "authentication_failed" if error.code >= 500 else "authentication_unavailable"
        raise _Failed(reason, f"{error.code} {error.message}") from None
    except aiosmtplib.SMTPResponseException as error:
        raise _Failed("server_refuses", f"{error.code} {error.message}") from None
    except (aiosmtplib.SMTPConnectTimeoutError, TimeoutError):
        raise _Failed("connect_timeout", "") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            raise _Failed("tls_failed", str(error)) from None
        if isinstance(error, (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected, OSError)):
            raise _Failed("connection_failed", str(error)) from None
        # The only remaining case: the server does not offer a required extension.
        raise _Failed("no_tls_or_authentication_offered", str(error)) from None
