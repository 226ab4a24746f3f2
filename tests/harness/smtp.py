"""A real SMTP server on loopback that stores, refuses, drops or delays."""

import asyncio
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"
USER, PASSWORD = "shop", "right horse/battery"


@dataclass(frozen=True)
class Received:
    """A mail as it came: its envelope and its bytes."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    options: tuple[str, ...] = ()
    is_encrypted: bool = False
    user: str | None = None
    connection: int = 0

    @property
    def message(self) -> EmailMessage:
        """The mail, as Python's own ``email`` reads it."""
        return cast("EmailMessage", message_from_bytes(self.content, policy=policy.default))


@dataclass
class SmtpServer:
    """Listens while the block runs, in a thread of its own, so that processes and event loops alike may send to it.

    Args:
        answers: to commands (``MAIL``, ``RCPT``, ``READY`` before the mail is written, ``DATA`` after it) in place of
            yes; for one command each when a list.
        drop_at: the command at which the connection is broken off.
        dawdle_at: the command that is never answered.
        pause_s: before each answer.
        starttls: for ``STARTTLS``; not offered without it.
        tls: spoken from the first byte.
        needs_login: whether nothing is taken without user and password.
        utf8: whether SMTPUTF8 is offered.
    """

    answers: dict[str, str | list[str]] = field(default_factory=dict)
    drop_at: str | None = None
    dawdle_at: str | None = None
    pause_s: float = 0
    starttls: ssl.SSLContext | None = None
    tls: ssl.SSLContext | None = None
    needs_login: bool = False
    utf8: bool = False
    received: list[Received] = field(default_factory=list)
    hellos: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._changed = threading.Condition()
        self._transports: list[asyncio.BaseTransport] = []
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """What a client is told, without user and password."""
        return f"{'smtps' if self.tls else 'smtp'}://{HOST}:{self.port}"

    def wait_for(self, count: int, timeout_s: float = 60) -> list[Received]:
        """All mails, once there are as many.

        Raises:
            AssertionError: they did not come in time.
        """
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, timeout_s), (
                f"{len(self.received)} mails of {count} came"
            )
            return list(self.received)

    def cut(self) -> None:
        """Break off all connections."""

        async def abort() -> None:
            for transport in self._transports:
                cast("asyncio.Transport", transport).abort()

        self._run(abort())

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self) -> asyncio.Server:
        def protocol() -> SMTP:
            self.connections += 1
            return _Protocol(
                self,
                number=self.connections,
                hostname="mail.example",
                enable_SMTPUTF8=self.utf8,
                tls_context=self.starttls,
                auth_require_tls=False,
                auth_exclude_mechanism=() if self.needs_login else ("LOGIN", "PLAIN"),
                authenticator=_authenticate,
                loop=self._loop,
            )

        server = await self._loop.create_server(protocol, HOST, 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _end(self) -> None:
        self._server.close()
        for transport in self._transports:
            cast("asyncio.Transport", transport).abort()
        for _ in range(3):  # tasks of the connections end in the loop's next rounds
            await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _at(self, command: str, server: "_Protocol") -> str | None:
        """What the server does at a command, beside what it should."""
        if self.drop_at == command:
            cast("asyncio.Transport", server.transport).abort()
            return "421 gone"
        if self.dawdle_at == command:
            await asyncio.Event().wait()
        await asyncio.sleep(self.pause_s)
        answer = self.answers.get(command)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else None
        return answer

    async def handle_EHLO(  # noqa: N802 - the names are aiosmtpd's
        self, server: "_Protocol", session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        await self._at("EHLO", server)
        self.hellos.append(hostname)
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802 - the names are aiosmtpd's
        self, server: "_Protocol", session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := await self._at("MAIL", server):
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the names are aiosmtpd's
        self, server: "_Protocol", session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := await self._at("RCPT", server):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: "_Protocol", session: Session, envelope: Envelope) -> str:  # noqa: N802
        if answer := await self._at("DATA", server):
            return answer
        received = Received(
            envelope.mail_from or "",
            tuple(envelope.rcpt_tos),
            cast("bytes", envelope.original_content),
            tuple(envelope.mail_options),
            session.ssl is not None or self.tls is not None,
            session.auth_data if isinstance(session.auth_data, str) else None,
            server.number,
        )
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
        return "250 OK"


class _Protocol(SMTP):
    """One connection; the server may break it off."""

    def __init__(self, owner: SmtpServer, *, number: int, **settings: Any) -> None:
        super().__init__(owner, **settings)
        self._owner = owner
        self._auth_required = owner.needs_login  # as an argument it warns of log-ins without TLS
        self.number = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._owner._transports.append(transport)
        super().connection_made(transport)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        answer = await self._owner._at("READY", self)
        if answer:
            await self.push(answer)
        else:
            await super().smtp_DATA(arg)


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False, auth_data=data.login.decode() if is_right else None)
