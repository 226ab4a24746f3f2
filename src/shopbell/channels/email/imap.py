"""A client for IMAP (RFC 9051 and RFC 3501): only the commands that reading a mailbox needs.

ADR 18 says why it is our own.
"""

import asyncio
import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from shopbell.errors import ShopbellError
from shopbell.safe_http.connector import GuardedConnector
from shopbell.safe_http.tls import open_tls, system_certificates

COMMAND_TIMEOUT_S = 60.0
BODY_TIMEOUT_S = 300.0
LOGOUT_TIMEOUT_S = 2.0
_LINE_MAX_BYTES = 4_194_304
"""The response to SEARCH is one line; this is room for 400,000 emails."""
_HEAD_MAX_BYTES = 1_048_576
_RESPONSES_MAX_BYTES = 16_777_216
"""Of all responses to a command, in addition to the emails or heads that it asks for."""
_PIECE_BYTES = 256
"""What a line or a literal counts in addition to its length: the memory of an empty one."""
_FIELDS = "RETURN-PATH DELIVERED-TO X-DELIVERED-TO X-ORIGINAL-TO ENVELOPE-TO X-ENVELOPE-TO TO CC"
_LITERAL = re.compile(rb"\{(\d{1,12})\+?\}\r\n\Z")
_EXISTS = re.compile(rb"\* \d+ EXISTS", re.IGNORECASE)
_UID = re.compile(rb"\bUID (\d{1,10})\b", re.IGNORECASE)
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b", re.IGNORECASE)
_VALIDITY = re.compile(rb"\[UIDVALIDITY (\d{1,10})\]", re.IGNORECASE)
_PREFIX = re.compile(rb'\* NAMESPACE \(\("([^"\\]*)"', re.IGNORECASE)


class ImapFailure(ShopbellError):
    """The mailbox cannot be read now.

    Args:
        reason: a short name for the log; contains nothing from the server.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CommandRefused(ImapFailure):
    """The server refuses one command; the connection works."""

    def __init__(self) -> None:
        super().__init__("refused")


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the server.

    Args:
        line: its text, without its literals.
        literals: the strings of known length in it.
    """

    line: bytes
    literals: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What decides how an email is treated.

    Args:
        uid: its number in the folder.
        size_bytes: its size.
        fields: the header fields with its recipients, as received.
    """

    uid: int
    size_bytes: int
    fields: bytes


class ImapConnection:
    """A connection to an IMAP server; created by ``open``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._left_bytes = _RESPONSES_MAX_BYTES
        self._capabilities: frozenset[str] = frozenset()
        self._prefix = ""
        self._idle: tuple[bytes, asyncio.Task[Response]] | None = None
        self.has_news = False
        """Whether email has arrived since the last ``search``."""

    @classmethod
    async def open(cls, connector: GuardedConnector, host: str, port: int, *, timeout_s: float) -> Self:
        """Connect with TLS.

        Raises:
            ImapFailure: the server does not respond as it should.
            OutboundFailure: it cannot be reached.
            TimeoutError: it does not respond.
        """
        reader, writer = await open_tls(
            connector, host, port, system_certificates(), timeout_s=timeout_s, line_max_bytes=_LINE_MAX_BYTES
        )
        imap = cls(reader, writer)
        try:
            async with asyncio.timeout(timeout_s):
                await imap._greet()
        except BaseException:
            writer.transport.abort()
            raise
        return imap

    @property
    def has_idle(self) -> bool:
        """Whether the server tells of new email."""
        return "IDLE" in self._capabilities

    async def log_in(self, user: str, password: str) -> None:
        """Log in with a password.

        Raises:
            ImapFailure: ``login_failed``, or ``unavailable``.
        """
        if "AUTH=PLAIN" in self._capabilities:
            await self._authenticate("PLAIN", f"\0{user}\0{password}")
        elif "LOGINDISABLED" in self._capabilities:
            raise ImapFailure("no_login_offered")
        else:
            name, secret = user.encode(), password.encode()
            await self._log_in(b"LOGIN {%d}" % len(name), name + b" {%d}" % len(secret), secret)

    async def log_in_with_token(self, user: str, token: str, *, host: str, port: int) -> None:
        """Log in with an OAuth 2.0 access token (RFC 7628, or Google's older XOAUTH2).

        Raises:
            ImapFailure: ``login_failed``, ``unavailable``, or ``no_oauth_offered``.
        """
        if "AUTH=OAUTHBEARER" in self._capabilities:
            name = user.replace("=", "=3D").replace(",", "=2C")
            start = f"n,a={name},\1host={host}\1port={port}\1auth=Bearer {token}\1\1"
            await self._authenticate("OAUTHBEARER", start, after_error="\1")
        elif "AUTH=XOAUTH2" in self._capabilities:
            await self._authenticate("XOAUTH2", f"user={user}\1auth=Bearer {token}\1\1")
        else:
            raise ImapFailure("no_oauth_offered")

    async def select(self, folder: str) -> int:
        """Open a folder; returns its UIDVALIDITY."""
        found = _first(_VALIDITY, await self._command(b"SELECT " + _quoted(folder)))
        if found is None:
            raise ImapFailure("protocol_error")
        return int(found)

    async def create_missing(self, *folders: str) -> None:
        """Create the folders that do not exist yet, in the mailbox's own namespace."""
        if "NAMESPACE" in self._capabilities:
            prefix = _first(_PREFIX, await self._command(b"NAMESPACE"))
            self._prefix = (prefix or b"").decode("ascii", "ignore")
        for folder in folders:
            name = self._name(folder)
            if not any(each.line.upper().startswith(b"* LIST") for each in await self._command(b'LIST "" ' + name)):
                await self._command(b"CREATE " + name)
                with suppress(CommandRefused):  # not all servers have subscriptions
                    await self._command(b"SUBSCRIBE " + name)

    async def search(self, after_uid: int) -> list[int]:
        """Return the UIDs above a number, in order."""
        self.has_news = False
        first = after_uid + 1
        responses = await self._command(b"UID SEARCH UID %d:* UNDELETED" % first)
        lines = (each.line for each in responses if each.line.upper().startswith(b"* SEARCH"))
        # The range "n:*" always contains the last email, even if its number is lower.
        return sorted({uid for line in lines for uid in map(int, re.findall(rb"\b\d{1,10}\b", line)) if uid >= first})

    async def heads(self, uids: Sequence[int]) -> list[Head]:
        """Return what decides how emails are treated; without those that no longer exist."""
        numbers = ",".join(map(str, uids))
        command = f"UID FETCH {numbers} (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({_FIELDS})])"
        found = {}
        for each in await self._command(command.encode(), content_bytes=len(uids) * _HEAD_MAX_BYTES):
            uid, size = _first(_UID, [each]), _first(_SIZE, [each])
            if uid is not None and size is not None:
                found[int(uid)] = Head(int(uid), int(size), b"".join(each.literals))
        return [found[uid] for uid in uids if uid in found]

    async def email(self, uid: int, *, limit_bytes: int) -> bytes | None:
        """Return an email, cut to one byte more than the limit; None if it no longer exists.

        Raises:
            CommandRefused: the server cannot read it.
        """
        command = b"UID FETCH %d (UID BODY.PEEK[]<0.%d>)" % (uid, limit_bytes + 1)
        responses = await self._command(command, timeout_s=BODY_TIMEOUT_S, content_bytes=limit_bytes + 1)
        return next((b"".join(each.literals) for each in responses if _first(_UID, [each]) == b"%d" % uid), None)

    async def move(self, uid: int, folder: str, *, seen: bool) -> None:
        """Move an email to a folder.

        Raises:
            CommandRefused: the server does not.
        """
        name = self._name(folder)
        if seen:
            await self._command(rb"UID STORE %d +FLAGS.SILENT (\Seen)" % uid)
        if "MOVE" in self._capabilities:
            await self._command(b"UID MOVE %d " % uid + name)
            return
        await self._command(b"UID COPY %d " % uid + name)
        await self._command(rb"UID STORE %d +FLAGS.SILENT (\Deleted)" % uid)
        if "UIDPLUS" in self._capabilities:  # otherwise, EXPUNGE would remove what others have deleted
            await self._command(b"UID EXPUNGE %d" % uid)

    async def idle(self, ending: asyncio.Task[object], timeout_s: float) -> None:
        """Wait until the server tells of a change (RFC 2177), a task ends, or the time is over.

        IDLE goes on until ``end_idle``.
        """
        if self._idle is None and not await self._begin_idle():
            return
        assert self._idle is not None  # noqa: S101 - see above
        tag, read = self._idle
        await asyncio.wait((read, ending), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if read.done():
            self._note(read.result(), tag)
            self._left_bytes = _RESPONSES_MAX_BYTES  # IDLE lasts long, and keeps no response
            self._idle = tag, asyncio.create_task(self._response())

    async def _begin_idle(self) -> bool:
        tag = self._send(b"IDLE")
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                while not (response := await self._response()).line.startswith(b"+"):
                    self._note(response, tag)
        except CommandRefused:
            self._capabilities -= {"IDLE"}
            return False
        self._idle = tag, asyncio.create_task(self._response())
        return True

    async def end_idle(self) -> None:
        """End IDLE, so that other commands are possible."""
        if self._idle is None:
            return
        tag, read = self._idle
        self._idle = None
        self._writer.write(b"DONE\r\n")
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            response = await read
            while not response.line.startswith(tag + b" "):
                self._note(response, tag)
                response = await self._response()

    async def close(self) -> None:
        """Log out, if the server responds quickly, and close the connection."""
        with suppress(ImapFailure, OSError):  # a TimeoutError, too
            async with asyncio.timeout(LOGOUT_TIMEOUT_S):
                await self.end_idle()
                await self._command(b"LOGOUT")
        if self._idle is not None:
            self._idle[1].cancel()
        self._writer.transport.abort()

    async def _greet(self) -> None:
        greeting = await self._response()
        if not greeting.line.upper().startswith(b"* OK"):
            raise ImapFailure("server_refuses")
        await self._read_capabilities()

    async def _authenticate(self, mechanism: str, start: str, *, after_error: str = "") -> None:
        encoded, end = (base64.b64encode(text.encode()) for text in (start, after_error))
        command = b"AUTHENTICATE " + mechanism.encode()
        if "SASL-IR" in self._capabilities:
            await self._log_in(command + b" " + encoded, end)
        else:
            await self._log_in(command, encoded, end)

    async def _log_in(self, command: bytes, *answers: bytes) -> None:
        try:
            await self._command(command, *answers)
        except CommandRefused as error:
            raise ImapFailure("login_failed") from error
        await self._read_capabilities()

    async def _read_capabilities(self) -> None:
        lines = [each.line.decode("ascii", "replace").upper() for each in await self._command(b"CAPABILITY")]
        words = [line.split()[2:] for line in lines if line.startswith("* CAPABILITY")]
        self._capabilities = frozenset(word for line in words for word in line)

    async def _command(
        self, command: bytes, *answers: bytes, timeout_s: float = COMMAND_TIMEOUT_S, content_bytes: int = 0
    ) -> list[Response]:
        """Send a command; returns the untagged responses.

        Args:
            answers: what to send when the server asks for more, one after the other; then empty lines.
            content_bytes: the most that the emails or heads may have which it asks for.
        """
        tag = self._send(command)
        self._left_bytes += content_bytes
        waiting = iter(answers)
        responses: list[Response] = []
        async with asyncio.timeout(timeout_s):
            while True:
                response = await self._response()
                if response.line.startswith(b"+"):
                    self._writer.write(next(waiting, b"") + b"\r\n")
                elif response.line.startswith(tag + b" "):
                    if response.line[len(tag) + 1 :].upper().startswith(b"OK"):
                        return responses
                    raise CommandRefused
                else:
                    self._note(response, tag)
                    responses.append(response)

    def _send(self, command: bytes) -> bytes:
        self._number += 1
        self._left_bytes = _RESPONSES_MAX_BYTES
        tag = b"S%d" % self._number
        self._writer.write(tag + b" " + command + b"\r\n")
        return tag

    def _note(self, response: Response, tag: bytes) -> None:
        """Note what the server tells without being asked."""
        if response.line.startswith(tag + b" "):  # to IDLE, which it did not begin or ends
            raise CommandRefused
        if response.line.upper().startswith(b"* BYE"):
            raise ImapFailure("connection_lost")
        if not response.line.startswith(b"* "):
            raise ImapFailure("protocol_error")
        if _EXISTS.match(response.line):
            self.has_news = True

    async def _response(self) -> Response:
        pieces: list[bytes] = []
        literals: list[bytes] = []
        try:
            while True:
                piece = await self._reader.readuntil(b"\r\n")
                self._count(len(piece))
                pieces.append(piece)
                literal = _LITERAL.search(piece)
                if literal is None:
                    return Response(b"".join(pieces), literals)
                self._count(int(literal[1]))
                literals.append(await self._reader.readexactly(int(literal[1])))
        except asyncio.LimitOverrunError:
            raise ImapFailure("response_too_long") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ImapFailure("connection_lost") from None

    def _count(self, size_bytes: int) -> None:
        """Count a line or a literal of the response to a command, so that no response fills the memory."""
        self._left_bytes -= size_bytes + _PIECE_BYTES
        if self._left_bytes < 0:
            raise ImapFailure("response_too_long")

    def _name(self, folder: str) -> bytes:
        return _quoted(self._prefix + folder)


def _first(pattern: re.Pattern[bytes], responses: Sequence[Response]) -> bytes | None:
    return next(_matches(pattern, responses), None)


def _matches(pattern: re.Pattern[bytes], responses: Sequence[Response]) -> Iterator[bytes]:
    return (found[1] for each in responses if (found := pattern.search(each.line)))


def _quoted(text: str) -> bytes:
    return b'"' + text.encode("ascii") + b'"'
