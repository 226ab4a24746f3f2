"""The OpenAPI document: it is valid, and every example in it is what a real server says."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import jsonschema
import openapi_spec_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Databases
from harness import raw
from harness.installation import Installation, Server
from harness.world import World
from shopbell.errors import PROBLEMS
from shopbell.http.reference_widget import LANGUAGE_TAG
from shopbell.identity import LOCALE_MAX_CHARACTERS, normal_locale

WIDGET = "/api/widget/send-message-to-business"
OPERATIONS = ("/healthz", "/readyz", "/metrics")
EXAMPLE_ID = "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"
FAR_ABOVE_THE_HEADER_LIMIT = "x" * 40_000


class Acme:
    """Acme's tokens, and installations that begin alike; its Boston shop has the id of the documentation's example."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self.installation = self.new_installation(folder)
        people = World.load(databases.world_file("sqlite"))
        assert people.boston == "12345"
        self.token = people.token
        self.other_token = people.second_token
        self.reading_token = people.reading_token

    def new_installation(self, folder: Path) -> Installation:
        """One that nobody else uses."""
        return Installation(self._databases.copy("sqlite", "world"), folder)


@pytest.fixture(scope="module")
def acme(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Acme:
    """Acme, on SQLite: the reference is the same on both engines."""
    return Acme(databases, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def server(acme: Acme) -> Iterator[Server]:
    """A server with the limits that the document names."""
    with acme.installation.serving() as server:
        yield server


@pytest.fixture(scope="module")
def strict_server(acme: Acme) -> Iterator[Server]:
    """A server that loses its patience soon."""
    with acme.installation.serving(
        rate_limit_per_s=1, rate_limit_burst=1, header_timeout_s=1, body_timeout_s=1
    ) as server:
        yield server


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    """The document as a client gets it."""
    answer = server.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    got: dict[str, Any] = answer.json()
    return got


def as_json(value: object) -> bytes:
    """A body."""
    return json.dumps(value).encode()


def post(server: Server, token: str | None, body: bytes, **more_headers: str) -> httpx2.Response:
    """Send to the widget route."""
    headers = {"Content-Type": "application/json", "X-Request-Id": EXAMPLE_ID} | more_headers
    return server.client.post(WIDGET, content=body, headers=headers | ({"token": token} if token else {}))


def requests_in(document: dict[str, Any]) -> dict[str, Any]:
    """The examples of requests to the widget route."""
    examples = document["paths"][WIDGET]["post"]["requestBody"]["content"]["application/json"]["examples"]
    return {name: example["value"] for name, example in examples.items()}


def answers_in(document: dict[str, Any]) -> dict[tuple[str, int, str], Any]:
    """All examples of answers, by path, status and name."""
    return {
        (path, int(status), name): example["value"]
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        for content in answer["content"].values()
        for name, example in content.get("examples", {}).items()
    }


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


def test_the_document_knows_every_route_for_programs(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {WIDGET, *OPERATIONS}


def test_the_document_knows_nothing_of_errors_that_we_do_not_send(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for (_, status, name), example in answers_in(document).items():
        if status >= 400:
            problem = PROBLEMS[example["type"].removeprefix("/problems/")]
            assert (problem.status, problem.title) == (status, example["title"]), name


def test_the_widget_route_takes_the_token_as_its_one_way_to_authenticate(document: dict[str, Any]) -> None:
    (requirement,) = document["paths"][WIDGET]["post"]["security"]
    (name,) = requirement
    scheme = document["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "token")


@pytest.mark.parametrize("name", ["both", "email", "phone"])
def test_every_example_of_a_request_is_answered_200(
    document: dict[str, Any], server: Server, acme: Acme, name: str
) -> None:
    example = requests_in(document)[name]
    content = document["paths"][WIDGET]["post"]["requestBody"]["content"]["application/json"]
    check(document, content["schema"], example)
    answer = post(server, acme.token, as_json(example))
    assert answer.status_code == 200
    conforms(document, WIDGET, "post", answer)


def test_no_example_of_a_request_is_without_its_test(document: dict[str, Any]) -> None:
    assert set(requests_in(document)) == {"both", "email", "phone"}


@pytest.mark.parametrize(
    "body",
    [
        {"businessId": 12345, "message": "x", "user": {"email": "carol@example.com", "phoneNumber": None}},
        {
            "businessId": "12345",
            "message": "\u202bمرحبا 👋\n",
            "user": {"phoneNumber": "617 555 0100", "locale": "pt_BR"},
        },
        {
            "businessId": "12345",
            "message": "x" * 10_000,
            "user": {"email": "carol@example.com", "locale": None},
            "a": 1,
        },
    ],
    ids=["integer", "unicode", "longest"],
)
def test_what_the_schema_allows_is_answered_200(
    document: dict[str, Any], server: Server, acme: Acme, body: dict[str, Any]
) -> None:
    check(document, request_schema(document), body)
    assert post(server, acme.token, as_json(body)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"message": "x", "user": {"email": "carol@example.com"}},
        {"businessId": None, "message": "x", "user": {"email": "carol@example.com"}},
        {"businessId": True, "message": "x", "user": {"email": "carol@example.com"}},
        {"businessId": -1, "message": "x", "user": {"email": "carol@example.com"}},
        {"businessId": 2**53, "message": "x", "user": {"email": "carol@example.com"}},
        {"businessId": "012345", "message": "x", "user": {"email": "carol@example.com"}},
        {"businessId": "12345", "message": "", "user": {"email": "carol@example.com"}},
        {"businessId": "12345", "message": " \n", "user": {"email": "carol@example.com"}},
        {"businessId": "12345", "message": "a\0b", "user": {"email": "carol@example.com"}},
        {"businessId": "12345", "message": "x" * 10_001, "user": {"email": "carol@example.com"}},
        {"businessId": "12345", "message": 1, "user": {"email": "carol@example.com"}},
        {"businessId": "12345", "message": "x", "user": "carol@example.com"},
        {"businessId": "12345", "message": "x", "user": {}},
        {"businessId": "12345", "message": "x", "user": {"email": None, "phoneNumber": None}},
        {"businessId": "12345", "message": "x", "user": {"email": "a" * 243 + "@example.com"}},
        {"businessId": "12345", "message": "x", "user": {"phoneNumber": "+1555" + "0" * 36}},
        {"businessId": "12345", "message": "x", "user": {"email": "carol@example.com", "locale": "e n"}},
        {"businessId": "12345", "message": "x", "user": {"email": "carol@example.com", "locale": "en-" + "abcd-" * 7}},
    ],
)
def test_what_the_schema_forbids_is_answered_400(
    document: dict[str, Any], server: Server, acme: Acme, body: object
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(document, request_schema(document), body)
    answer = post(server, acme.token, as_json(body))
    assert answer.status_code == 400
    conforms(document, WIDGET, "post", answer)


@given(tag=st.from_regex(LANGUAGE_TAG, fullmatch=True) | st.from_regex("[a-zA-Z0-9_-]{1,20}", fullmatch=True))
@settings(max_examples=500)
def test_the_schema_knows_the_same_language_tags_as_the_server(tag: str) -> None:
    is_known = len(tag) <= LOCALE_MAX_CHARACTERS
    try:
        normal_locale(tag)
    except ValueError:
        is_known = False
    assert bool(re.search(LANGUAGE_TAG, tag) and len(tag) <= LOCALE_MAX_CHARACTERS) == is_known


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

    def rate(self, path: str) -> httpx2.Response:
        for _ in range(3):
            answer = post(self.strict, self.acme.other_token, self.right)
        return answer

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
            with spare.serving(drain_delay_s=3) as server:
                os.kill(server.pid, signal.SIGTERM)
                while (answer := server.client.get(path)).status_code == 200:
                    pass
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


def test_no_example_of_an_answer_is_without_its_test(document: dict[str, Any]) -> None:
    assert set(answers_in(document)) == set(PROVOKED)


@pytest.mark.parametrize("example", PROVOKED, ids=lambda example: " ".join(map(str, example)))
def test_every_example_of_an_answer_is_what_the_server_says(
    document: dict[str, Any],
    server: Server,
    strict_server: Server,
    acme: Acme,
    tmp_path: Path,
    example: tuple[str, int, str],
) -> None:
    path, status, _ = example
    shown = dict(answers_in(document)[example])
    answer = Answer.of(PROVOKED[example](Provoke(document, server, strict_server, acme, tmp_path), path))
    assert answer.status == status
    conforms(document, path, _method(path).decode().lower(), answer)
    said = answer.json()
    if status == 200:
        assert said.keys() == shown.keys()
        assert said["result"] == shown["result"]
        content = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
        assert said.keys() == content["schema"]["properties"].keys()
    else:
        assert said.pop("instance") == f"urn:uuid:{answer.headers['x-request-id']}"
        del shown["instance"]
        assert said == shown


def test_a_replayed_answer_has_the_documented_header(document: dict[str, Any], server: Server, acme: Acme) -> None:
    body = as_json(requests_in(document)["both"])
    answers = [post(server, acme.token, body, **{"Idempotency-Key": "twice"}) for _ in range(2)]
    for answer in answers:
        conforms(document, WIDGET, "post", answer)
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_what_operators_ask_is_answered_as_documented(document: dict[str, Any], server: Server, path: str) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 200
    conforms(document, path, "get", answer)


@dataclass(frozen=True)
class Answer:
    """An answer, however it was got."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, answer: httpx2.Response | raw.RawAnswer) -> Self:
        """The same in one form."""
        if isinstance(answer, raw.RawAnswer):
            return cls(answer.status, dict(answer.headers), answer.body)
        return cls(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def conforms(document: dict[str, Any], path: str, method: str, answer: "Answer | httpx2.Response") -> None:
    """An answer is as the document describes it: its status, its headers, its body."""
    if not isinstance(answer, Answer):
        answer = Answer.of(answer)
    described = document["paths"][path][method]["responses"][str(answer.status)]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    check(document, schema, answer.json() if media_type.endswith("json") else answer.body.decode())
    for name, reference in described["headers"].items():
        header = document["components"]["headers"][reference["$ref"].rpartition("/")[2]]
        value: str | int | None = answer.headers.get(name.lower())
        assert value is not None or not header.get("required"), f"{name} is missing"
        if value is not None:
            check(document, header["schema"], int(value) if header["schema"].get("type") == "integer" else value)


def check(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    """A value fits a schema of the document."""
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def request_schema(document: dict[str, Any]) -> dict[str, Any]:
    """The schema of the widget route's body."""
    content = document["paths"][WIDGET]["post"]["requestBody"]["content"]["application/json"]
    schema: dict[str, Any] = content["schema"]
    return schema


def _method(path: str) -> bytes:
    return b"POST" if path == WIDGET else b"GET"
