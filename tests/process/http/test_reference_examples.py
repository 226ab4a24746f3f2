"""Every example in the OpenAPI document matches a real server."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness import raw
from harness.databases import Acme
from harness.documented import (
    OPERATIONS,
    Answer,
    answers_in,
    as_json,
    check,
    conforms,
    post,
    requests_in,
    responses_of,
)
from harness.installation import Server
from harness.load import send_all
from harness.shop import WIDGET

FAR_ABOVE_THE_HEADER_LIMIT = "x" * 40_000


@pytest.fixture(scope="module")
def strict_server(acme: Acme) -> Iterator[Server]:
    """A server that loses its patience soon."""
    with acme.installation.serving(
        rate_limit_per_s=1, rate_limit_burst=1, header_timeout_s=1, body_timeout_s=1
    ) as server:
        yield server


@pytest.mark.parametrize("name", ["both", "email", "phone"])
def test_every_request_example_gets_200(document: dict[str, Any], acme_server: Server, acme: Acme, name: str) -> None:
    example = requests_in(document)[name]
    content = document["paths"][WIDGET]["post"]["requestBody"]["content"]["application/json"]
    check(document, content["schema"], example)
    answer = post(acme_server, acme.token, as_json(example))
    assert answer.status_code == 200
    conforms(document, WIDGET, "post", answer)


def test_every_request_example_is_tested(document: dict[str, Any]) -> None:
    assert set(requests_in(document)) == {"both", "email", "phone"}


class Provoke:
    """How to get each answer that the document shows."""

    def __init__(self, document: dict[str, Any], server: Server, strict: Server, acme: Acme, folder: Path) -> None:
        self.server = server
        self.strict = strict
        self.acme = acme
        self.folder = folder
        self.right = as_json(requests_in(document)["both"])

    def stored(self, path: str) -> httpx2.Response:
        return post(self.server, self.acme.token, self.right)

    def faults(self, path: str) -> httpx2.Response:
        wrong = {"businessId": "12345", "message": " ", "user": {}}
        return post(self.server, self.acme.token, as_json(wrong), **{"Content-Type": "text/plain"})

    def not_http(self, path: str) -> raw.RawAnswer:
        return raw.exchange(self.server.port, b"%b %b HTTP/1.1\r\n\r\n" % (_method(path), path.encode()))

    def token(self, path: str) -> httpx2.Response:
        return post(self.server, None, self.right)

    def business(self, path: str) -> httpx2.Response:
        return post(self.server, self.acme.token, self.right.replace(b"12345", b"54321"))

    def scope(self, path: str) -> httpx2.Response:
        return post(self.server, self.acme.reading_token, self.right)

    def method(self, path: str) -> httpx2.Response:
        return self.server.client.delete(path)

    def slow(self, path: str) -> raw.RawAnswer:
        request = raw.post(path, self.right, [("token", self.acme.token), ("Content-Type", "application/json")])
        return raw.exchange(self.strict.port, request[:-1] if path == WIDGET else b"GET %b HT" % path.encode())

    def large(self, path: str) -> httpx2.Response:
        return post(self.server, self.acme.token, b" " * 262_145)

    def reused(self, path: str) -> httpx2.Response:
        key = {"Idempotency-Key": "order-1234-question-1"}
        assert post(self.server, self.acme.token, self.right, **key).status_code == 200
        return post(self.server, self.acme.token, self.right.replace(b"Hello", b"Hallo"), **key)

    def rate(self, path: str) -> raw.RawAnswer:
        headers = [("token", self.acme.other_token), ("Content-Type", "application/json")]
        # At once: one after the other may take a second each, where a commit does.
        answers = send_all(self.strict.port, [raw.post(path, self.right, headers)] * 8, connections=8)
        return next(answer for answer in answers if answer.status != 200)

    def headers(self, path: str) -> raw.RawAnswer:
        request = f"{_method(path).decode()} {path} HTTP/1.1\r\nHost: a\r\nX: {FAR_ABOVE_THE_HEADER_LIMIT}\r\n\r\n"
        return raw.exchange(self.server.port, request.encode())

    def bug(self, path: str) -> httpx2.Response:
        """A database without one of its tables is a bug, as far as the server can tell."""
        with self.acme.new_installation(self.folder).serving() as server:
            server.installation.database.change("DROP TABLE events")
            return post(server, self.acme.token, self.right)

    def unavailable(self, path: str) -> httpx2.Response | raw.RawAnswer:
        spare = self.acme.new_installation(self.folder)
        if path == WIDGET:
            with spare.serving(write_timeout_s=0.2) as server, spare.database.connection() as connection:
                connection.exec_driver_sql("DELETE FROM events")  # takes the write lock, until the block ends
                return post(server, self.acme.token, self.right)
        if path == "/readyz":
            with spare.serving(drain_delay_s=300) as server:
                os.kill(server.pid, signal.SIGTERM)
                while (answer := server.client.get(path)).status_code == 200:
                    pass
                server.kill()
                return answer
        with spare.serving(connection_limit=16) as server, ExitStack() as stack:
            for _ in range(16):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            return raw.exchange(server.port, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())


PROVOKED = {
    (WIDGET, 200, "stored"): Provoke.stored,
    (WIDGET, 400, "faults"): Provoke.faults,
    (WIDGET, 400, "notHttp"): Provoke.not_http,
    (WIDGET, 401, "token"): Provoke.token,
    (WIDGET, 403, "business"): Provoke.business,
    (WIDGET, 403, "scope"): Provoke.scope,
    (WIDGET, 405, "method"): Provoke.method,
    (WIDGET, 408, "slow"): Provoke.slow,
    (WIDGET, 413, "large"): Provoke.large,
    (WIDGET, 422, "reused"): Provoke.reused,
    (WIDGET, 429, "rate"): Provoke.rate,
    (WIDGET, 431, "headers"): Provoke.headers,
    (WIDGET, 500, "bug"): Provoke.bug,
    (WIDGET, 503, "unavailable"): Provoke.unavailable,
    **{
        (path, status, name): provoke
        for path in OPERATIONS
        for status, name, provoke in (
            (400, "notHttp", Provoke.not_http),
            (405, "method", Provoke.method),
            (408, "slow", Provoke.slow),
            (431, "headers", Provoke.headers),
            (503, "unavailable", Provoke.unavailable),
        )
    },
}


def test_every_response_example_is_tested(document: dict[str, Any]) -> None:
    assert set(answers_in(document)) == set(PROVOKED)


@pytest.mark.parametrize("example", PROVOKED, ids=lambda example: " ".join(map(str, example)))
def test_every_response_example_matches_the_server(
    document: dict[str, Any],
    acme_server: Server,
    strict_server: Server,
    acme: Acme,
    tmp_path: Path,
    example: tuple[str, int, str],
) -> None:
    path, status, _ = example
    shown = dict(answers_in(document)[example])
    answer = Answer.of(PROVOKED[example](Provoke(document, acme_server, strict_server, acme, tmp_path), path))
    assert answer.status == status
    conforms(document, path, _method(path).decode().lower(), answer)
    said = answer.json()
    if status == 200:
        assert said.keys() == shown.keys()
        assert said["result"] == shown["result"]
        content = responses_of(document, path, "post")["200"]["content"]["application/json"]
        assert said.keys() == content["schema"]["properties"].keys()
    else:
        assert said.pop("instance") == f"urn:uuid:{answer.headers['x-request-id']}"
        del shown["instance"]
        assert said == shown


def test_a_replayed_response_has_the_documented_header(
    document: dict[str, Any], acme_server: Server, acme: Acme
) -> None:
    body = as_json(requests_in(document)["both"])
    answers = [post(acme_server, acme.token, body, **{"Idempotency-Key": "twice"}) for _ in range(2)]
    for answer in answers:
        conforms(document, WIDGET, "post", answer)
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_operations_endpoints_respond_as_documented(document: dict[str, Any], acme_server: Server, path: str) -> None:
    answer = acme_server.client.get(path)
    assert answer.status_code == 200
    conforms(document, path, "get", answer)


def _method(path: str) -> bytes:
    return b"POST" if path == WIDGET else b"GET"
