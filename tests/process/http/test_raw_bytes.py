"""Invalid and hostile bytes cause no 5xx, no hang and no memory growth."""

import json
import re
import uuid
from collections.abc import Callable, Iterator

import pytest

from harness.raw_connection import HOST, MIB, Wire, is_refusal, peak_bytes, request, statuses
from harness.shop import HELLO, Shop

HEADER_LIMIT_BYTES = 16_384
BODY_LIMIT_BYTES = 262_144
CANARY = "carolscanary"

GOOD_HEAD = b"POST /api/widget/send-message-to-business HTTP/1.1\r\n" + HOST

BODIES = {
    "invalid UTF-8": b'{"message": "\xff\xfe"}',
    "a surrogate in UTF-8": b'{"message": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"message": "\xc0\xaf"}',
    "a lone surrogate": rb'{"message": "\ud800"}',
    "a lone surrogate as a key": rb'{"\udfff": 1}',
    "a raw NUL": b'{"message": "\x00"}',
    "only NULs": b"\x00" * 100,
    "depth 100,000 of arrays": b"[" * 100_000,
    "depth 100,000 of objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "depth 17": b'{"a":' * 17 + b"1" + b"}" * 17,
    "an integer of 5,000 digits": b'{"businessId": ' + b"9" * 5_000 + b"}",
    "a float beyond all": b'{"businessId": 1e999999}',
    "NaN": b'{"businessId": NaN}',
    "Infinity": b'{"businessId": -Infinity}',
    "an array": b"[]",
    "a string": b'"hello"',
    "a number": b"1",
    "null": b"null",
    "nothing": b"",
    "white space": b" \r\n\t ",
    "half of an object": b'{"message": "Hel',
    "two objects": b"{}{}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"message": "Hello"}'.encode("utf-16"),
    "a form": b"message=Hello",
    "a comment": b'{"message": "Hello" /* or not */}',
    "a trailing comma": b'{"message": "Hello",}',
}

FRAMES = {
    "no Host": b"POST /x HTTP/1.1\r\n\r\n",
    "two Hosts": b"POST /x HTTP/1.1\r\n" + HOST + b"Host: localhost\r\n\r\n",
    "the same Host twice": b"POST /x HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "two Hosts in HTTP/1.0": b"POST /x HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
    "a Host with a space": b"POST /x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a Host with a path": b"POST /x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "two lengths that differ": GOOD_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two lengths that agree": GOOD_HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": GOOD_HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "a negative length": GOOD_HEAD + b"Content-Length: -2\r\n\r\n{}",
    "a signed length": GOOD_HEAD + b"Content-Length: +2\r\n\r\n{}",
    "a hexadecimal length": GOOD_HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "an empty length": GOOD_HEAD + b"Content-Length:\r\n\r\n{}",
    "a length of 40 digits": GOOD_HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "a length, then chunks": GOOD_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, then a length": GOOD_HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "an unknown coding": GOOD_HEAD + b"Transfer-Encoding: rot13\r\n\r\n{}",
    "a coding below chunks": GOOD_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": GOOD_HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /x HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST /x HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
    "a folded header": GOOD_HEAD + b"X-Note: one\r\n two\r\n\r\n",
    "a NUL in a header": GOOD_HEAD + b"X-Note: a\x00b\r\n\r\n",
    "a lone CR in a header": GOOD_HEAD + b"X-Note: a\rb\r\n\r\n",
    "a header without a colon": GOOD_HEAD + b"nonsense\r\n\r\n",
    "a header without a name": GOOD_HEAD + b": value\r\n\r\n",
    "line feeds alone": b"POST /x HTTP/1.1\nHost: 127.0.0.1\n\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"GET / HTTP/3.7\r\n" + HOST + b"\r\n",
    "an unknown method": b"HELLO / HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path with a space": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path that is not ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "noise": bytes(range(256)),
}


@pytest.fixture
def shop(shops: Callable[[str], Shop]) -> Shop:
    """A running server; which engine is behind it makes no difference to bytes."""
    return shops("sqlite")


@pytest.fixture
def wire(shop: Shop) -> Iterator[Wire]:
    """A connection to it."""
    with Wire(shop.server.port) as wire:
        yield wire


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_a_json_object_is_a_400_and_the_connection_stays_open(
    shop: Shop, wire: Wire, body: bytes
) -> None:
    answer = wire.send(request(body, token=shop.world.token)).answer()
    assert is_refusal(answer, 400, "validation-error")
    assert answer.json()["errors"][0]["code"] in ("malformed_json", "required", "type")
    good = json.dumps(shop.body()).encode()
    assert wire.send(request(good, token=shop.world.token)).answer().status == 200


def test_the_last_of_duplicate_keys_wins(shop: Shop, wire: Wire) -> None:
    body = json.dumps(shop.body()).replace('"message"', '"message": 5, "message"', 1).encode()
    assert body.count(b'"message"') == 2
    answer = wire.send(request(body, token=shop.world.token)).answer()
    assert answer.status == 200
    (message,) = shop.messages(answer.json()["customerThreadId"])
    assert message["body"] == HELLO


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_invalid_http_is_a_400_and_closes_the_connection(wire: Wire, frame: bytes) -> None:
    answer = wire.send(frame).answer()
    assert is_refusal(answer, 400, "bad-request")
    assert answer.header("connection") == "close"
    assert wire.end().is_closed()


def test_http_1_0_needs_no_host(wire: Wire) -> None:
    answer = wire.send(b"GET /healthz HTTP/1.0\r\n\r\n").answer()
    assert answer.status == 200
    assert wire.is_closed()


def test_a_refusal_by_the_server_has_the_clients_request_id(wire: Wire) -> None:
    own = str(uuid.uuid4())
    answer = wire.send(f"GET / HTTP/1.1\r\nX-Request-Id: {own}\r\n\r\n".encode()).answer()
    assert is_refusal(answer, 400, "bad-request")
    assert answer.header("x-request-id") == own


def test_a_smuggled_request_gets_no_response(shop: Shop, wire: Wire) -> None:
    smuggled = request(method="GET", path="/healthz")
    frame = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(smuggled) + 5)
    assert wire.send(GOOD_HEAD + frame + smuggled).answer().status == 400
    assert wire.end().is_closed()


def test_a_content_length_that_is_too_short_makes_the_rest_a_bad_request(shop: Shop, wire: Wire) -> None:
    body = json.dumps(shop.body()).encode()
    wire.send(request(body, f"Content-Length: {len(body) - 5}", token=shop.world.token))
    assert is_refusal(wire.answer(), 400, "validation-error")
    assert is_refusal(wire.answer(), 400, "bad-request")
    assert wire.end().is_closed()


@pytest.mark.parametrize(
    "chunks", [b"5\r\nhelloXX", b"G\r\n", b"-1\r\n", b"5 5\r\nhello\r\n", b"F" * 17 + b"\r\n", b"5\nhello\r\n"]
)
def test_an_invalid_chunk_is_reported_by_the_route_that_reads_it(shop: Shop, wire: Wire, chunks: bytes) -> None:
    head = request(b"", "Transfer-Encoding: chunked", token=shop.world.token)
    answer = wire.send(head, b"1\r\n{\r\n", chunks).answer()
    assert is_refusal(answer, 400, "bad-request")
    assert answer.header("connection") == "close"
    assert wire.end().is_closed()


def test_an_invalid_chunk_without_a_token_is_a_401_or_a_400(wire: Wire) -> None:
    answer = wire.send(request(b"", "Transfer-Encoding: chunked"), b"XX\r\n").answer()
    assert answer.status in (400, 401)
    assert wire.end().is_closed()


def test_a_token_in_trailers_is_ignored(shop: Shop, wire: Wire) -> None:
    body = json.dumps(shop.body()).encode()
    chunked = b"%x\r\n%s\r\n0\r\ntoken: %s\r\n\r\n" % (len(body), body, shop.world.token.encode())
    # In one piece: the route begins when the trailers are already there.
    answer = wire.send(request(b"", "Transfer-Encoding: chunked", "Content-Type: application/json") + chunked).answer()
    assert is_refusal(answer, 401, "unauthorized")


def test_headers_up_to_the_size_limit_are_accepted(wire: Wire) -> None:
    head = b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Note: "
    assert wire.send(head + b"a" * (HEADER_LIMIT_BYTES - len(head) - 4) + b"\r\n\r\n").answer().status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Note: " + b"a" * HEADER_LIMIT_BYTES,
        b"GET /" + b"a" * HEADER_LIMIT_BYTES + b" HTTP/1.1\r\n" + HOST,
        b"GET /healthz?" + b"a" * HEADER_LIMIT_BYTES + b" HTTP/1.1\r\n" + HOST,
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 400) for n in range(45)),
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100,
    ],
    ids=["one header", "the path", "the query", "all together", "their number"],
)
@pytest.mark.parametrize("pieces", [1, 7, 60])
def test_more_headers_than_the_limit_are_a_431(shop: Shop, wire: Wire, head: bytes, pieces: int) -> None:
    size = -(-len(head) // pieces)
    answer = wire.send(*(head[at : at + size] for at in range(0, len(head), size)), b"\r\n\r\n").answer()
    assert is_refusal(answer, 431, "header-fields-too-large")
    assert answer.json()["maxBytes"] == HEADER_LIMIT_BYTES
    assert wire.end().is_closed()


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Note: ",
        b"GET /",
        GOOD_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: ",
    ],
    ids=["a header", "a path", "a trailer"],
)
def test_a_header_of_50_mb_takes_no_memory(shop: Shop, begin: bytes) -> None:
    token = f"token: {shop.world.token}\r\n".encode()
    before = peak_bytes(shop.server.pid, reset=True)
    with Wire(shop.server.port) as wire:
        wire.send(begin.replace(HOST, HOST + token))
        with pytest.raises((ConnectionError, TimeoutError)):  # cut off after a while
            wire.send(*[b"a" * MIB] * 50)
    assert peak_bytes(shop.server.pid) - before < 8 * MIB
    with Wire(shop.server.port) as wire:
        answer = wire.send(begin.replace(HOST, HOST + token), b"a" * MIB).answer()
        assert is_refusal(answer, 431, "header-fields-too-large")


@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_a_body_over_the_limit_gets_a_readable_413(shop: Shop, wire: Wire, framing: str) -> None:
    before = peak_bytes(shop.server.pid, reset=True)
    if framing == "declared":
        head = request(b"", f"Content-Length: {15 * MIB}", token=shop.world.token)
        wire.send(head, *[b" " * MIB] * 15)
    else:
        head = request(b"", "Transfer-Encoding: chunked", token=shop.world.token)
        wire.send(head, *[b"100000\r\n" + b" " * MIB + b"\r\n"] * 15)
    # All was sent before the answer is read: had the server closed at once, the answer would be lost in a reset.
    answer = wire.answer()
    assert is_refusal(answer, 413, "content-too-large")
    assert answer.json()["maxBytes"] == BODY_LIMIT_BYTES
    assert answer.header("connection") == "close"
    assert peak_bytes(shop.server.pid) - before < 8 * MIB


def test_a_body_up_to_the_limit_is_accepted(shop: Shop, wire: Wire) -> None:
    body = json.dumps(shop.body()).encode()
    padded = body + b" " * (BODY_LIMIT_BYTES - len(body))
    assert wire.send(request(padded, token=shop.world.token)).answer().status == 200
    assert wire.send(request(padded + b" ", token=shop.world.token)).answer().status == 413


def test_an_early_response_to_a_small_body_keeps_the_connection(shop: Shop, wire: Wire) -> None:
    wire.send(request(b"", "Content-Length: 5000"))
    assert is_refusal(wire.answer(), 401, "unauthorized")
    wire.send(b"x" * 5_000, request(json.dumps(shop.body()).encode(), token=shop.world.token))
    assert wire.answer().status == 200


def test_an_early_response_to_a_large_body_closes_the_connection_cleanly(wire: Wire) -> None:
    wire.send(request(b"", f"Content-Length: {10 * MIB}"), *[b"x" * MIB] * 10)
    answer = wire.answer()
    assert is_refusal(answer, 401, "unauthorized")
    assert answer.header("connection") == "close"
    assert wire.end().is_closed()


def test_pipelined_requests_are_answered_in_order(shop: Shop, wire: Wire) -> None:
    ids = [str(uuid.uuid4()) for _ in range(60)]
    wire.send(
        b"".join(
            request(json.dumps(shop.body()).encode(), f"X-Request-Id: {own}", token=shop.world.token)
            if place % 3
            else request(b"", f"X-Request-Id: {own}", method="GET", path="/healthz")
            for place, own in enumerate(ids)
        )
    )
    answers = [wire.answer() for _ in ids]
    assert statuses(answers) == [200] * 60
    assert [answer.header("x-request-id") for answer in answers] == ids


def test_requests_before_an_invalid_one_are_answered(shop: Shop, wire: Wire) -> None:
    good = [request(json.dumps(shop.body()).encode(), token=shop.world.token) for _ in range(3)]
    wire.send(b"".join(good) + b"POST /x HTTP/1.1\r\n\r\n" + good[0])
    assert statuses([wire.answer() for _ in range(4)]) == [200, 200, 200, 400]
    assert wire.end().is_closed()


def test_nothing_after_connection_close_is_answered(shop: Shop, wire: Wire) -> None:
    wire.send(request(b"", "Connection: close", method="GET", path="/healthz") * 3)
    assert wire.answer().status == 200
    assert wire.is_closed()


def test_a_request_can_arrive_byte_by_byte(shop: Shop, wire: Wire) -> None:
    whole = request(json.dumps(shop.body()).encode(), token=shop.world.token)
    assert wire.send(*(bytes([byte]) for byte in whole)).answer().status == 200


def test_expect_continue_is_answered(shop: Shop, wire: Wire) -> None:
    body = json.dumps(shop.body()).encode()
    whole = request(body, "Expect: 100-continue", token=shop.world.token)
    assert wire.send(whole.removesuffix(body)).answer().status == 100
    assert wire.send(body).answer().status == 200


@pytest.mark.parametrize(
    ("length", "has_token", "status"), [(10, False, 401), (BODY_LIMIT_BYTES + 1, True, 413)], ids=["stranger", "large"]
)
def test_expect_continue_of_a_refused_request_is_not_answered(
    shop: Shop, wire: Wire, length: int, has_token: bool, status: int
) -> None:
    token = shop.world.token if has_token else None
    wire.send(request(b"", f"Content-Length: {length}", "Expect: 100-continue", token=token))
    assert wire.answer().status == status
    assert wire.end().is_closed()


def test_http_1_0_gets_no_100_continue(shop: Shop, wire: Wire) -> None:
    whole = request(json.dumps(shop.body()).encode(), "Expect: 100-continue", token=shop.world.token)
    answer = wire.send(whole.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)).answer()
    assert answer.status == 200
    assert wire.is_closed()


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_upgrade_request_is_ignored_and_its_body_is_read(shop: Shop, wire: Wire, protocol: str) -> None:
    body = json.dumps(shop.body()).encode()
    offer = request(body, "Connection: keep-alive, Upgrade", f"Upgrade: {protocol}", token=shop.world.token)
    wire.send(offer + offer, offer[:100], offer[100:])
    assert statuses([wire.answer() for _ in range(3)]) == [200, 200, 200]


def test_a_half_closed_client_gets_its_response(shop: Shop, wire: Wire) -> None:
    wire.send(request(json.dumps(shop.body()).encode(), token=shop.world.token)).end()
    assert wire.answer().status == 200
    assert wire.is_closed()


def test_a_client_that_disconnects_mid_body_stores_nothing(shop: Shop) -> None:
    before = shop.count("messages")
    whole = request(json.dumps(shop.body()).encode(), token=shop.world.token)
    with Wire(shop.server.port) as wire:
        wire.send(whole[:-5])
    shop.send()
    assert shop.count("messages") == before + 1


def test_invalid_requests_are_neither_echoed_nor_logged(shop: Shop) -> None:
    canary = CANARY.encode()
    for frame in (
        b"POST /" + canary + b" HTTP/1.1\r\nX-" + canary + b": " + canary + b"\r\n\r\n" + canary,
        canary + b"\r\n\r\n",
        GOOD_HEAD + b"X-Note: " + canary * 5_000,
        request(b"", "Transfer-Encoding: chunked", token=shop.world.token) + canary + b"\r\n",
    ):
        with Wire(shop.server.port) as wire:
            assert CANARY not in wire.send(frame).end().rest().decode("latin-1")
    assert CANARY not in shop.server.log


def test_refusals_by_the_server_are_counted(shop: Shop, wire: Wire) -> None:
    def count(status: int) -> float:
        text = shop.server.client.get("/metrics").text
        lines = re.findall(
            rf'^shopbell_http_requests_total\{{[^}}]*status="{status}"[^}}]*\}} (\S+)$', text, re.MULTILINE
        )
        return sum(map(float, lines))

    before = count(431)
    wire.send(b"GET /" + b"a" * HEADER_LIMIT_BYTES + b" HTTP/1.1\r\n" + HOST + b"\r\n").answer()
    assert count(431) == before + 1
