"""Responses out of bounds, in pieces, too long, too early, and when none is due."""

import asyncio

import pytest
from aiohttp.client_proto import ResponseHandler

from harness.receivers import (
    LONG_S,
    LOOPBACK,
    OK,
    RECEIVER,
    Behaviour,
    Receiver,
    answering,
    break_off,
    loopback,
    post,
    run,
)
from shopbell.safe_http.client import OutboundClient
from shopbell.safe_http.connection import Connection
from shopbell.safe_http.errors import OutboundFailure

SURPLUS = b"HTTP/1.1 418 Teapot\r\nContent-Length: 7\r\n\r\nsurplus"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _failure_of(behaviour: Behaviour, *, timeout_s: float = LONG_S) -> str:
    receiver = Receiver(behaviour)
    async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
        with pytest.raises(OutboundFailure) as failed:
            await post(client, f"http://{RECEIVER}:{receiver.port}/", timeout_s=timeout_s)
    return failed.value.error_class


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(300)),
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8_000) for number in range(15)),
        b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000,
        b"HTTP/1.1 200 " + b"x" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        HEAD + b"0\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(300)),
        HEAD + b"0\r\nX: " + b"x" * 20_000,
        HEAD + b"10\r\n" + b"x" * 16 + b"no line break",
        b"nonsense\r\n\r\n" * 5_000,
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=[
        "fields", "long fields", "field name", "reason", "1xx", "trailers", "trailer", "chunk", "nonsense", "HTTP/2",
        "HTTP/0.9", "NUL", "two lengths",
    ],
)  # fmt: skip
def test_a_response_out_of_bounds_is_refused_before_its_end(answer: bytes) -> None:
    async def test() -> None:
        assert await _failure_of(answering(answer, hold=True)) == "protocol_error"

    run(test)


def test_an_invalid_chunk_after_the_head_fails_at_once() -> None:
    async def head_first(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(HEAD + b"2\r\nab\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"zz\r\n")
        await reader.read(-1)

    async def test() -> None:
        assert await _failure_of(head_first) == "protocol_error"

    run(test)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_a_reset_is_not_the_end_of_a_response(head: bytes) -> None:
    async def begin_and_reset(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(head + b"2\r\nab\r\n")
        await asyncio.sleep(0.1)
        break_off(writer)

    async def test() -> None:
        assert await _failure_of(begin_and_reset) == "connection_lost"

    run(test)


def test_large_headers_within_the_limits_are_read() -> None:
    async def test() -> None:
        fields = b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"Y: " + b"y" * 16_000 + b"\r\n"
        receiver = Receiver(answering(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n"))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            response = await post(client, f"http://{RECEIVER}:{receiver.port}/")
        assert len(response.headers) == 202
        assert response.headers["y"] == "y" * 16_000

    run(test)


@pytest.mark.parametrize("surplus", [b"more", b"\r\n", SURPLUS])
@pytest.mark.parametrize("field", [b"", b"Connection: close\r\n"])
def test_a_response_longer_than_it_says_is_read_as_far_as_it_says(field: bytes, surplus: bytes) -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 200 OK\r\n" + field + b"Content-Length: 2\r\n\r\nok" + surplus
        receiver = Receiver(answering(answer, hold=True))
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            for _ in range(2):
                response = await post(client, f"http://{RECEIVER}:{receiver.port}/")
                assert (response.status, response.body) == (200, b"ok")

    run(test)


@pytest.mark.parametrize("gap", range(1, 4))
def test_a_head_may_come_in_pieces(gap: int) -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore"

        async def in_pieces(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.request(reader)
            middle = answer.index(b"\r\n\r\nok") + gap
            writer.write(answer[:middle])
            await asyncio.sleep(0.1)
            writer.write(answer[middle:])
            await reader.read(-1)

        receiver = Receiver(in_pieces)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            assert (await post(client, f"http://{RECEIVER}:{receiver.port}/")).body == b"ok"

    run(test)


def test_a_response_before_the_end_of_the_request_is_read() -> None:
    async def refuse(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)

    async def test() -> None:
        receiver = Receiver(refuse)
        async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
            url = f"http://{RECEIVER}:{receiver.port}/"
            assert (await post(client, url, content=b"x" * 20_000_000)).status == 413

    run(test)


async def _with_surplus(surplus: bytes) -> tuple[list[int], int]:
    """Post twice to a receiver that sends bytes between its responses.

    Returns the statuses and the number of connections.
    """

    async def too_much(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(OK)
        await answered.wait()
        writer.write(surplus)
        await writer.drain()
        sent.set()
        await receiver.request(reader)
        writer.write(OK)

    answered, sent = asyncio.Event(), asyncio.Event()
    receiver = Receiver(too_much)
    async with receiver.listening(), OutboundClient(LOOPBACK, resolve=loopback) as client:
        url = f"http://{RECEIVER}:{receiver.port}/"
        statuses = [(await post(client, url)).status]
        answered.set()
        await sent.wait()
        for _ in range(10):  # rounds of the loop, in which the surplus arrives
            await asyncio.sleep(0.01)
        statuses.append((await post(client, url)).status)
        return statuses, receiver.connections


@pytest.mark.parametrize("surplus", [SURPLUS, SURPLUS[:9], b"\r\n", b"nonsense\r\n\r\n"])
def test_what_arrives_between_two_requests_is_no_response_to_the_second(surplus: bytes) -> None:
    async def test() -> None:
        assert await _with_surplus(surplus) == ([200, 200], 2)

    run(test)


def test_control_without_the_check_a_surplus_response_is_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        assert await _with_surplus(SURPLUS) == ([200, 418], 1)

    monkeypatch.setattr(Connection, "data_received", ResponseHandler.data_received)
    run(test)
