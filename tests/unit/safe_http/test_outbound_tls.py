"""Only a receiver with a valid certificate gets a request."""

import asyncio
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.receivers import (
    LONG_S,
    LOOPBACK,
    OK,
    RECEIVER,
    SHORT_S,
    Receiver,
    answering,
    hang,
    loopback,
    post,
    run,
)
from shopbell.safe_http.client import OutboundClient
from shopbell.safe_http.connector import GuardedConnector, dial
from shopbell.safe_http.errors import OutboundFailure
from shopbell.safe_http.tls import open_tls, system_certificates


def test_a_receiver_with_a_trusted_certificate_is_reached_by_name(tmp_path: Path) -> None:
    async def test() -> None:
        authority = Authority()
        receiver = Receiver(answering(OK, hold=True))
        async with (
            receiver.listening(authority.server(RECEIVER, tmp_path)),
            OutboundClient(LOOPBACK, resolve=loopback, ssl_context=authority.trust()) as client,
        ):
            for _ in range(2):
                answer = await post(client, f"https://{RECEIVER}:{receiver.port}/")
                assert (answer.status, answer.body) == (200, b"ok")
        assert (receiver.connections, len(receiver.requests)) == (1, 2)

    run(test)


@pytest.mark.parametrize("wrong", ["name", "authority", "expired", "system"])
def test_an_invalid_certificate_is_not_trusted(wrong: str, tmp_path: Path) -> None:
    async def test() -> None:
        authority = Authority()
        name = "other.example" if wrong == "name" else RECEIVER
        trusted = {"authority": Authority().trust(), "system": None}.get(wrong, authority.trust())
        receiver = Receiver(answering(OK))
        async with (
            receiver.listening(authority.server(name, tmp_path, expired=wrong == "expired")),
            OutboundClient(LOOPBACK, resolve=loopback, ssl_context=trusted) as client,
        ):
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"https://{RECEIVER}:{receiver.port}/")
        assert failed.value.error_class == "tls_failed"
        assert receiver.requests == []

    run(test)


@pytest.mark.parametrize(
    ("answer", "name"),
    [(b"", "tls_failed"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "tls_failed"), (None, "connect_timeout")],
)
def test_a_receiver_without_tls_gets_nothing(answer: bytes | None, name: str) -> None:
    async def test() -> None:
        received = []

        async def greet(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await reader.read(65_536))
            if answer is None:
                await hang(receiver, reader, writer)
            else:
                writer.write(answer)
                await writer.drain()

        receiver = Receiver(greet)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            connect_timeout_s = SHORT_S if answer is None else LONG_S
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"https://{RECEIVER}:{receiver.port}/", connect_timeout_s=connect_timeout_s)
            connector = GuardedConnector(LOOPBACK, resolve=loopback, dial=dial, dns_timeout_s=LONG_S)
            certificates = system_certificates()
            with pytest.raises(OutboundFailure) as stream_failed:
                await open_tls(connector, RECEIVER, receiver.port, certificates, timeout_s=connect_timeout_s)
        assert (failed.value.error_class, stream_failed.value.error_class) == (name, name)
        assert b"POST" not in b"".join(received)

    run(test)
