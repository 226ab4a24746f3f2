"""The IMAP client: how it logs in, what it accepts from a server, and where it connects to."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.imap import PASSWORD, USER, ImapServer, trusted_server
from shopbell.channels.email import imap
from shopbell.channels.email.imap import ImapConnection, ImapFailure
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.connector import GuardedConnector, dial
from shopbell.safe_http.dns import SystemResolver
from shopbell.safe_http.errors import AddressDenied, OutboundFailure, TlsFailed

TIMEOUT_S = 60
TOKEN = "ya29.a0"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImapServer:
    """A server whose certificate is trusted."""
    return trusted_server(tmp_path, monkeypatch)


async def connect(server: ImapServer, *, host: str = "localhost", allowed: bool = True) -> ImapConnection:
    allow = AllowList.parse(f"localhost:{server.port}, 127.0.0.1:{server.port}" if allowed else "")
    connector = GuardedConnector(allow, resolve=SystemResolver(), dial=dial, dns_timeout_s=TIMEOUT_S)
    return await ImapConnection.open(connector, host, server.port, timeout_s=TIMEOUT_S)


def run(server: ImapServer, use: Callable[[ImapConnection], Awaitable[object]]) -> object:
    """Use a connection to the server."""

    async def main() -> object:
        async with server.listening():
            connection = await connect(server)
            try:
                return await use(connection)
            finally:
                await connection.close()

    return asyncio.run(main())


@pytest.mark.parametrize(
    "capabilities", [("AUTH=PLAIN", "SASL-IR"), ("AUTH=PLAIN",), (), ("AUTH=PLAIN", "LOGINDISABLED")]
)
def test_it_logs_in_with_a_password(server: ImapServer, capabilities: tuple[str, ...]) -> None:
    server.capabilities = capabilities
    run(server, lambda connection: connection.log_in(USER, PASSWORD))
    assert server.logins == 1


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("more", [(), ("SASL-IR",)])
def test_it_logs_in_with_an_access_token(server: ImapServer, mechanism: str, more: tuple[str, ...]) -> None:
    server.capabilities = (f"AUTH={mechanism}", *more)
    server.tokens = (TOKEN,)

    def log_in(token: str) -> Callable[[ImapConnection], Awaitable[object]]:
        return lambda connection: connection.log_in_with_token(USER, token, host="localhost", port=server.port)

    run(server, log_in(TOKEN))
    assert server.logins == 1
    with pytest.raises(ImapFailure, match="login_failed"):
        run(server, log_in("expired"))


@pytest.mark.parametrize(
    ("capabilities", "reason"), [(("LOGINDISABLED",), "no_login_offered"), (("AUTH=PLAIN",), "login_failed")]
)
def test_a_failed_login_has_a_reason(server: ImapServer, capabilities: tuple[str, ...], reason: str) -> None:
    server.capabilities = capabilities
    with pytest.raises(ImapFailure, match=reason):
        run(server, lambda connection: connection.log_in(USER, "wrong"))
    with pytest.raises(ImapFailure, match="no_oauth_offered"):
        run(server, lambda connection: connection.log_in_with_token(USER, TOKEN, host="localhost", port=1))


def failure_of(server: ImapServer, **options: object) -> OutboundFailure:
    """Why there is no connection."""

    async def main() -> OutboundFailure:
        async with server.listening():
            with pytest.raises(OutboundFailure) as failure:
                await connect(server, **options)  # type: ignore[arg-type]
            return failure.value

    return asyncio.run(main())


def test_a_private_address_is_refused_unless_it_is_allowed(server: ImapServer) -> None:
    assert isinstance(failure_of(server, allowed=False), AddressDenied)


def test_a_certificate_must_be_trusted_and_have_the_name(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(failure_of(server, host="127.0.0.1"), TlsFailed)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert isinstance(failure_of(server), TlsFailed)


def test_header_fields_of_any_length_do_not_fill_the_memory(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "_HEAD_MAX_BYTES", 1_000)
    monkeypatch.setattr(imap, "_RESPONSES_MAX_BYTES", 5_000)
    server.deliver(b"To: " + b"x" * 6_000 + b"\r\n\r\n")

    async def read(connection: ImapConnection) -> None:
        await connection.select("INBOX")
        await connection.heads(await connection.search(0))

    with pytest.raises(ImapFailure, match="response_too_long"):
        run(server, read)


@pytest.mark.parametrize(
    "added",
    [b"* OK\r\n" * 100, b"* OK" + b" {0}\r\n" * 100 + b"\r\n", b"+ go on\r\n" * 100],
    ids=["responses", "literals", "questions"],
)
def test_a_command_with_any_number_of_responses_does_not_fill_the_memory(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch, added: bytes
) -> None:
    monkeypatch.setattr(imap, "_RESPONSES_MAX_BYTES", 5_000)
    server.adds = {"SELECT": added}
    with pytest.raises(ImapFailure, match="response_too_long"):
        run(server, lambda connection: connection.select("INBOX"))


def test_each_command_may_have_as_many_responses(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "_RESPONSES_MAX_BYTES", 5_000)
    server.adds = {"SELECT": b"* OK\r\n" * 10, "IDLE": b"* OK\r\n" * 10}

    async def use(connection: ImapConnection) -> None:
        for _ in range(10):
            assert await connection.select("INBOX") == server.validity
        never = asyncio.create_task(asyncio.sleep(TIMEOUT_S))
        await connection.idle(never, 0.01)
        for _ in range(100):
            server.deliver(b"To: Carol\r\n\r\n")
            await connection.idle(never, TIMEOUT_S)
        await connection.end_idle()
        never.cancel()

    run(server, use)


def test_an_email_is_cut_behind_the_limit(server: ImapServer) -> None:
    uid = server.deliver(b"To: Carol\r\n\r\nYes, on Friday.")

    async def read(connection: ImapConnection) -> list[bytes | None]:
        await connection.select("INBOX")
        return [await connection.email(uid, limit_bytes=10), await connection.email(uid + 1, limit_bytes=10)]

    assert run(server, read) == [b"To: Carol\r\n", None]


def test_without_move_an_email_is_copied_and_deleted(server: ImapServer) -> None:
    for capabilities in ((), ("UIDPLUS",), ("MOVE", "NAMESPACE")):
        server.capabilities = capabilities
        uid = server.deliver(b"To: Carol\r\n\r\n%d" % len(server.raws("Shopbell")))

        async def move(connection: ImapConnection, uid: int = uid) -> list[int]:
            await connection.create_missing("Shopbell")
            await connection.select("INBOX")
            await connection.move(uid, "Shopbell", seen=True)
            return await connection.search(0)

        assert run(server, move) == []
    assert len(server.raws("Shopbell")) == 3
    assert "EXPUNGE" not in server.commands  # it would remove what others have deleted


def test_a_search_returns_only_later_emails(server: ImapServer) -> None:
    for _ in range(3):
        server.deliver(b"To: Carol\r\n\r\n")

    async def search(connection: ImapConnection) -> list[list[int]]:
        await connection.select("INBOX")
        return [await connection.search(after) for after in (0, 2, 3)]

    assert run(server, search) == [[1, 2, 3], [3], []]


def test_idle_tells_of_new_email_at_once(server: ImapServer) -> None:
    async def wait(connection: ImapConnection) -> list[int]:
        await connection.select("INBOX")
        assert await connection.search(0) == []
        never = asyncio.create_task(asyncio.sleep(TIMEOUT_S))
        await connection.idle(never, 0.01)
        assert not connection.has_news
        server.deliver(b"To: Carol\r\n\r\n")
        while not connection.has_news:
            await connection.idle(never, TIMEOUT_S)
        await connection.end_idle()
        never.cancel()
        return await connection.search(0)

    assert run(server, wait) == [1]
    assert server.commands.count("IDLE") == 1


def test_a_server_that_refuses_idle_is_asked_now_and_then(server: ImapServer) -> None:
    server.refuses = {"IDLE"}

    async def wait(connection: ImapConnection) -> bool:
        await connection.select("INBOX")
        assert connection.has_idle
        await connection.idle(asyncio.create_task(asyncio.sleep(0)), TIMEOUT_S)
        await connection.end_idle()
        return connection.has_idle

    assert run(server, wait) is False


def test_a_lost_connection_has_a_reason(server: ImapServer) -> None:
    server.breaks_at = {"SELECT"}
    with pytest.raises(ImapFailure, match="connection_lost"):
        run(server, lambda connection: connection.select("INBOX"))
