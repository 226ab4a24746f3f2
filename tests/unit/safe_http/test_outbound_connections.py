"""Connections of the outbound client.

What opens, reuses and ends them, and receivers that abuse them.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp.client_proto import ResponseHandler

from harness.certificates import Authority
from harness.receivers import (
    LONG_S,
    LOOPBACK,
    OK,
    RECEIVER,
    SHORT_S,
    Behaviour,
    Receiver,
    answering,
    hang,
    loopback,
    post,
    reset,
    run,
)
from shopbell.safe_http import connector, transport
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import OutboundClient
from shopbell.safe_http.connection import Connection
from shopbell.safe_http.connector import dial
from shopbell.safe_http.errors import OutboundFailure
from shopbell.safe_http.hosts import Address


async def _get(client: OutboundClient, url: str) -> int:
    return (await client.get(url, headers={}, timeout_s=LONG_S, connect_timeout_s=LONG_S)).status


async def _times_sent(behaviour: Behaviour) -> int:
    """Send a GET that fails and return how often the receiver got it."""
    receiver = Receiver(behaviour)
    async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
        with pytest.raises(OutboundFailure) as failed:
            await _get(client, f"http://{RECEIVER}:{receiver.port}/")
    assert failed.value.error_class == "connection_lost"
    return receiver.connections


async def _read_and_close(_: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


def test_a_request_without_a_response_is_not_repeated() -> None:
    async def test() -> None:
        assert await _times_sent(_read_and_close) == 1

    run(test)


def test_control_aiohttp_repeats_a_get(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        assert await _times_sent(_read_and_close) == 2

    monkeypatch.setattr(Connection, "set_exception", ResponseHandler.set_exception)
    run(test)


def test_a_reused_connection_that_breaks_fails_and_the_next_request_opens_another() -> None:
    async def break_the_second(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if receiver.connections == 1:
            await receiver.request(reader)
            writer.write(OK)
            await reset(receiver, reader, writer)
        else:
            await answering(OK)(receiver, reader, writer)

    async def test() -> None:
        receiver = Receiver(break_the_second)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            url = f"http://{RECEIVER}:{receiver.port}/"
            assert (await post(client, url)).status == 200
            with pytest.raises(OutboundFailure) as failed:
                await post(client, url)
            assert failed.value.error_class == "connection_lost"
            assert (await post(client, url)).status == 200
        assert (receiver.connections, len(receiver.requests)) == (2, 3)

    run(test)


def test_a_hundred_hosts_at_once_get_their_own_requests_and_few_connections_stay() -> None:
    async def test() -> None:
        receiver = Receiver(answering(OK, hold=True))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback, keep_alive_limit=10) as client:
            names = [f"shop-{number}.example" for number in range(100)]
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(post(client, f"http://{name}:{receiver.port}/{name}"))
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(post(client, f"http://{name}:{receiver.port}/{name}"))
            # Ten of the second hundred found a connection.
            assert receiver.connections == 190
        heads = [request.split(b"\r\n") for request in receiver.requests]
        paths = Counter(head[0].split()[1].decode() for head in heads)
        assert paths == {f"/{name}": 2 for name in names}
        assert all(head[1] == b"Host: %s:%d" % (head[0].split()[1][1:], receiver.port) for head in heads)

    run(test)


def test_an_idle_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        receiver = Receiver(answering(OK, hold=True))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            await post(client, f"http://{RECEIVER}:{receiver.port}/")
            await asyncio.wait_for(receiver.gone.wait(), LONG_S)

    monkeypatch.setattr(transport, "_KEEP_ALIVE_S", 0.1)
    run(test)


@pytest.mark.parametrize("path", ["/", "/?", "/a/../b/./c", "//a//", "/%2e%2e/%61?b=%20&c=d+e?f", "/ä?ö={}|"])
def test_the_path_is_sent_as_it_was_given(path: str) -> None:
    async def test() -> None:
        receiver = Receiver(answering(OK))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            await post(client, f"http://{RECEIVER}:{receiver.port}{path}")
        sent = path.replace("ä", "%C3%A4").replace("ö", "%C3%B6").encode()
        assert receiver.requests[0].split(b"\r\n")[0] == b"POST " + sent + b" HTTP/1.1"

    run(test)


@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]"])
def test_an_allowed_ipv6_address_is_reached(host: str) -> None:
    async def test() -> None:
        received = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            writer.close()

        server = await asyncio.start_server(serve, "::1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, OutboundClient(AllowList.parse(f"[::1]:{port}")) as client:
            assert await _get(client, f"http://{host}:{port}/") == 200
        assert b"Host: [::1]:%d\r\n" % port in received[0]

    run(test)


@pytest.mark.parametrize("host", ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.1", "0x7f000001", "localhost."])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_spelling_of_a_private_address_is_denied_before_a_connection(scheme: str, host: str) -> None:
    async def test() -> None:
        receiver = Receiver(hang)
        async with receiver.listening(), OutboundClient(AllowList()) as client:
            with pytest.raises(OutboundFailure) as denied:
                await _get(client, f"{scheme}://{host}:{receiver.port}/")
        assert denied.value.error_class == "address_denied"
        assert receiver.connections == 0

    run(test)


def _bytes_for_another_peer(scheme: str) -> list[bytes]:
    """What arrives where the network leads instead of to the checked address.

    In each event loop.
    """
    received: list[bytes] = []

    async def read(_: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65_536))

    async def test() -> None:
        receiver = Receiver(read)

        async def misdirect(address: Address, port: int) -> socket.socket:
            return await dial(ip_address("127.0.0.1"), receiver.port)

        async def resolve(host: str, port: int) -> Sequence[Address]:
            return [ip_address("127.0.0.9")]

        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=resolve, dial=misdirect) as client:
            with pytest.raises(OutboundFailure):
                await _get(client, f"{scheme}://{RECEIVER}:{receiver.port}/")
            await asyncio.wait_for(receiver.gone.wait(), LONG_S)

    run(test)
    return received


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_peer_than_the_checked_one_gets_no_byte(scheme: str) -> None:
    assert _bytes_for_another_peer(scheme) == [b"", b""]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_control_without_the_check_another_peer_gets_bytes(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "_check_peer", lambda *_: None)
    assert all(_bytes_for_another_peer(scheme))


@pytest.mark.parametrize("where", ["lookup", "connect", "TLS"])
def test_the_deadline_covers_all_that_comes_before_the_request(where: str) -> None:
    async def test() -> None:
        async def never(*_: object) -> socket.socket:
            await asyncio.Event().wait()
            raise AssertionError

        async def no_answer(*_: object) -> Sequence[Address]:
            await asyncio.Event().wait()
            raise AssertionError

        receiver = Receiver(hang)
        client = OutboundClient(
            LOOPBACK,
            resolve=no_answer if where == "lookup" else loopback,
            dial=never if where == "connect" else dial,
            dns_timeout_s=LONG_S,
        )
        async with receiver.listening(), client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"https://{RECEIVER}:{receiver.port}/", timeout_s=SHORT_S)
        assert failed.value.error_class == "timeout"

    run(test)


def test_the_name_and_protocol_are_told_to_a_receiver_with_tls(tmp_path: Path) -> None:
    async def test() -> None:
        authority, names, protocols = Authority(), [], []
        context = authority.server(RECEIVER, tmp_path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.sni_callback = lambda _, name, __: names.append(name)

        async def serve(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
            await answering(OK)(receiver, reader, writer)

        receiver = Receiver(serve)
        async with (
            receiver.listening(context),
            OutboundClient(LOOPBACK, resolve=loopback, ssl_context=authority.trust()) as client,
        ):
            await post(client, f"https://{RECEIVER}:{receiver.port}/")
        assert (names, protocols) == ([RECEIVER], ["http/1.1"])

    run(test)


def test_a_receiver_that_demands_a_certificate_is_a_failure_of_tls(tmp_path: Path) -> None:
    async def test() -> None:
        authority = Authority()
        context = authority.server(RECEIVER, tmp_path)
        context.verify_mode = ssl.CERT_REQUIRED

        async def demand(_: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # With TLS 1.3, the client's handshake has ended when the receiver refuses it.
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            encryption = context.wrap_bio(incoming, outgoing, server_side=True)
            with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):  # noqa: PT012
                while True:
                    with contextlib.suppress(ssl.SSLWantReadError):
                        encryption.do_handshake()
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65_536))
            writer.write(outgoing.read())
            await reader.read(-1)

        receiver = Receiver(demand)
        async with (
            receiver.listening(),
            OutboundClient(LOOPBACK, resolve=loopback, ssl_context=authority.trust()) as client,
        ):
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"https://{RECEIVER}:{receiver.port}/")
        assert failed.value.error_class == "tls_failed"

    run(test)


def test_aiohttp_is_imported_for_the_first_request_only() -> None:
    source = (
        "import sys, shopbell.workers.webhook_worker, shopbell.channels.sms.providers; print('aiohttp' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, check=True).stdout
    assert printed == b"False\n"
