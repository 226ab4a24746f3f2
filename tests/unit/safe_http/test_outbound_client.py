"""The outbound HTTP client: results, failures and deadlines."""

import asyncio
import gzip
import logging
import select
import socket
import threading
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest

from harness.ports import free_port
from harness.receivers import (
    LONG_S,
    LOOPBACK,
    OK,
    RECEIVER,
    SHORT_S,
    Behaviour,
    Receiver,
    answering,
    drip,
    drip_headers,
    flood,
    hang,
    loopback,
    post,
    reset,
    run,
)
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import READ_LIMIT_BYTES, OutboundClient
from shopbell.safe_http.connector import dial
from shopbell.safe_http.dns import SystemResolver
from shopbell.safe_http.errors import NameNotFound, OutboundFailure
from shopbell.safe_http.hosts import Address


def test_a_response_has_status_headers_and_body() -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nlater"
        receiver = Receiver(answering(answer))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            got = await post(client, f"http://{RECEIVER}:{receiver.port}/hook?a=%20&b=ü")
        assert (got.status, got.body) == (503, b"later")
        assert got.headers == {"retry-after": "7", "x-a": "1, 2", "content-length": "5"}
        assert 0 <= got.duration_ms < LONG_S * 1_000
        head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [
            b"POST /hook?a=%20&b=%C3%BC HTTP/1.1",
            f"Host: {RECEIVER}:{receiver.port}".encode(),
            b"Content-Length: 7",
            b"Accept-Encoding: identity",
            b"Content-Type: application/json",
            b"webhook-id: msg_1",
        ]
        assert body == b'{"a":1}'

    run(test)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    async def test() -> None:
        other = Receiver(answering(OK))
        async with other.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            where = f"http://127.0.0.1:{other.port}/"
            answer = f"HTTP/1.1 {status} Go\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
            receiver = Receiver(answering(answer))
            async with receiver.listening():
                assert (await post(client, f"http://{RECEIVER}:{receiver.port}/")).status == status
        assert (receiver.connections, other.connections) == (1, 0)

    run(test)


def test_connections_are_kept_and_cookies_are_not() -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        receiver = Receiver(answering(answer, hold=True))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            for _ in range(3):
                await post(client, f"http://{RECEIVER}:{receiver.port}/")
        assert (receiver.connections, len(receiver.requests)) == (1, 3)
        assert not [request for request in receiver.requests if b"cookie" in request.lower()]

    run(test)


def test_a_closed_keep_alive_connection_is_not_reused() -> None:
    async def test() -> None:
        dialled: list[socket.socket] = []

        async def dial_and_keep(address: Address, port: int) -> socket.socket:
            dialled.append(await dial(address, port))
            return dialled[-1]

        receiver = Receiver(answering(OK))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback, dial=dial_and_keep) as client:
            for _ in range(5):
                assert (await post(client, f"http://{RECEIVER}:{receiver.port}/")).status == 200
                while not select.select([dialled[-1]], [], [], 0)[0]:  # noqa: ASYNC110 - its end is on the way
                    await asyncio.sleep(0)
                for _ in range(10):  # rounds of the loop, in which it sees that end
                    await asyncio.sleep(0)
        assert receiver.connections == 5

    run(test)


def test_proxies_from_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        proxy, receiver = Receiver(answering(OK)), Receiver(answering(OK))
        async with proxy.listening(), receiver.listening():
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            async with OutboundClient(LOOPBACK, resolve=loopback) as client:
                await post(client, f"http://{RECEIVER}:{receiver.port}/")
        assert (proxy.connections, receiver.connections) == (0, 1)

    run(test)


def test_an_allowed_port_is_reachable_and_another_of_the_same_host_is_not() -> None:
    async def test() -> None:
        allowed, other = Receiver(answering(OK)), Receiver(answering(OK))
        async with (
            allowed.listening(),
            other.listening(),
            OutboundClient(AllowList.parse(f"127.0.0.1:{allowed.port}")) as client,
        ):
            assert (await post(client, f"http://127.0.0.1:{allowed.port}/")).status == 200
            with pytest.raises(OutboundFailure) as refused:
                await post(client, f"http://127.0.0.1:{other.port}/")
        assert refused.value.error_class == "address_denied"
        assert (allowed.connections, other.connections) == (1, 0)

    run(test)


@pytest.mark.parametrize("behaviour", [hang, drip, drip_headers])
def test_a_hanging_or_slow_receiver_is_dropped_at_the_deadline(behaviour: Behaviour) -> None:
    async def test() -> None:
        receiver = Receiver(behaviour)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            begun_s = time.monotonic()
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"http://{RECEIVER}:{receiver.port}/", timeout_s=SHORT_S)
            # A loop's timers are due in its own milliseconds: up to one too early by this clock.
            assert SHORT_S - 0.001 <= time.monotonic() - begun_s < LONG_S / 2
            assert failed.value.error_class == "timeout"
            await asyncio.wait_for(receiver.gone.wait(), LONG_S)  # the connection was ended, too

    run(test)


def test_a_receiver_that_does_not_read_is_dropped_at_the_deadline() -> None:
    async def test() -> None:
        stop = asyncio.Event()
        dialled: list[socket.socket] = []

        async def read_nothing(_: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stop.wait()

        async def dial_and_keep(address: Address, port: int) -> socket.socket:
            dialled.append(await dial(address, port))
            return dialled[0]

        receiver = Receiver(read_nothing)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback, dial=dial_and_keep) as client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"http://{RECEIVER}:{receiver.port}/", timeout_s=SHORT_S, content=b"x" * 20_000_000)
            assert failed.value.error_class == "timeout"
            # What was not read is given up, or each such receiver would keep a connection and its body for hours.
            for _ in range(5):  # rounds of the loop
                await asyncio.sleep(0)
            assert dialled[0].fileno() < 0
            stop.set()

    run(test)


def test_a_huge_response_is_truncated() -> None:
    async def test() -> None:
        receiver = Receiver(flood)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            answer = await post(client, f"http://{RECEIVER}:{receiver.port}/")
            assert (answer.status, answer.body) == (200, b"x" * READ_LIMIT_BYTES)
            short = await post(client, f"http://{RECEIVER}:{receiver.port}/", read_limit_bytes=3)
            assert short.body == b"xxx"
            await asyncio.wait_for(receiver.gone.wait(), LONG_S)
        assert receiver.connections == 2

    run(test)


def test_a_compressed_response_is_not_decompressed() -> None:
    async def test() -> None:
        bomb = gzip.compress(bytes(10_000_000))
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
        receiver = Receiver(answering(head + bomb))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            assert (await post(client, f"http://{RECEIVER}:{receiver.port}/")).body == bomb[:READ_LIMIT_BYTES]

    run(test)


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        (reset, "connection_lost"),
        (answering(b""), "connection_lost"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "connection_lost"),
        (answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha"), "connection_lost"),
        (answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", hold=True), "protocol_error"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", hold=True), "protocol_error"),
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, hold=True), "protocol_error"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", hold=True),
            "protocol_error",
        ),
    ],
)
def test_an_invalid_response_has_its_own_failure(behaviour: Behaviour, name: str) -> None:
    async def test() -> None:
        receiver = Receiver(behaviour)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"http://{RECEIVER}:{receiver.port}/", timeout_s=LONG_S)
        assert failed.value.error_class == name

    run(test)


def test_a_closed_port_is_a_refused_connection() -> None:
    async def test() -> None:
        async with OutboundClient(LOOPBACK, resolve=loopback) as client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"http://{RECEIVER}:{free_port()}/")
        assert failed.value.error_class == "connect_refused"

    run(test)


def test_the_next_address_is_tried_after_a_refusal_or_timeout() -> None:
    async def test() -> None:
        async def several(host: str, port: int) -> Sequence[Address]:
            return [ip_address(address) for address in ("127.0.0.2", "127.0.0.1")]

        receiver = Receiver(answering(OK))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=several) as client:
            assert (await post(client, f"http://{RECEIVER}:{receiver.port}/")).status == 200

    run(test)


def test_connecting_times_out() -> None:
    async def test() -> None:
        async def never(address: Address, port: int) -> Any:
            await asyncio.Event().wait()

        async with OutboundClient(LOOPBACK, resolve=loopback, dial=never) as client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"http://{RECEIVER}:9/", connect_timeout_s=SHORT_S)
        assert failed.value.error_class == "connect_timeout"

    run(test)


def test_a_silent_name_server_times_out() -> None:
    async def test() -> None:
        async def never(host: str, port: int) -> Sequence[Address]:
            await asyncio.Event().wait()
            return []

        async with OutboundClient(LOOPBACK, resolve=never, dns_timeout_s=SHORT_S) as client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, f"http://{RECEIVER}:9/")
        assert failed.value.error_class == "dns_failed"

    run(test)


def test_a_name_without_an_address_has_its_own_failure() -> None:
    async def test() -> None:
        async with OutboundClient(LOOPBACK) as client:
            with pytest.raises(OutboundFailure) as failed:
                await post(client, "https://nobody.invalid/")
        assert failed.value.error_class == "dns_failed"

    run(test)


def test_concurrent_lookups_of_one_name_share_one_thread() -> None:
    async def test() -> None:
        resolver = SystemResolver()
        before = threading.active_count()
        lookups = [asyncio.ensure_future(resolver("localhost", 80)) for _ in range(50)]
        await asyncio.sleep(0)
        assert threading.active_count() <= before + 1
        found = await asyncio.gather(*lookups)
        assert {ip_address("127.0.0.1")} <= set(found[0])
        assert set(found) == {found[0]}

    run(test)


def test_an_unknown_lookup_error_is_a_failure_and_the_next_lookup_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    async def test() -> None:
        resolver = SystemResolver()
        for target, name, breaks in ((threading.Thread, "start", no_thread), (socket, "getaddrinfo", no_memory)):
            with monkeypatch.context() as broken:
                broken.setattr(target, name, breaks)
                with pytest.raises(NameNotFound):
                    await resolver("localhost", 80)
            assert ip_address("127.0.0.1") in await resolver("localhost", 80)

    run(test)


def test_failures_and_logs_contain_neither_request_nor_response(caplog: pytest.LogCaptureFixture) -> None:
    canary = "canary-7f3a"

    async def test() -> None:
        texts = []
        answers = (b"HTTP/1.1 200 OK\r\nX-Canary: canary-7f3a\r\n\r\n", b"canary-7f3a\r\n\r\n", b"")
        for answer in answers:
            receiver = Receiver(answering(answer))
            async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
                for headers in ({"X": canary}, {"X": f"{canary}\r\nY: 1"}, {"X": f"{canary}ü"}):
                    try:
                        url = f"http://{RECEIVER}:{receiver.port}/{canary}?{canary}"
                        await post(client, url, headers=headers, content=canary.encode())
                    except (OutboundFailure, ValueError) as failure:
                        texts.append(str(failure))
        assert len(texts) >= 2 * len(answers)
        assert not [text for text in texts if canary in text]

    logging.getLogger("aiohttp").setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        run(test)
    assert canary not in caplog.text
