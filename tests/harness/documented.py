"""The API reference: its examples, and whether a response matches them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx2
import jsonschema

from harness import raw
from harness.installation import Server
from harness.shop import WIDGET

OPERATIONS = ("/healthz", "/readyz", "/metrics")
EXAMPLE_ID = "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"


def as_json(value: object) -> bytes:
    """A body."""
    return json.dumps(value).encode()


def post(server: Server, token: str | None, body: bytes, **more_headers: str) -> httpx2.Response:
    """Send to the widget route."""
    headers = {"Content-Type": "application/json", "X-Request-Id": EXAMPLE_ID} | more_headers
    return server.client.post(WIDGET, content=body, headers=headers | ({"token": token} if token else {}))


def responses_of(document: dict[str, Any], path: str, method: str) -> dict[str, dict[str, Any]]:
    """The responses of an operation by status, those that it shares with others included."""
    described = document["paths"][path][method]["responses"]
    shared = document["components"]["responses"]
    return {
        status: shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        for status, each in described.items()
    }


def requests_in(document: dict[str, Any]) -> dict[str, Any]:
    """The examples of requests to the widget route."""
    examples = document["paths"][WIDGET]["post"]["requestBody"]["content"]["application/json"]["examples"]
    return {name: example["value"] for name, example in examples.items()}


def answers_in(document: dict[str, Any]) -> dict[tuple[str, int, str], Any]:
    """All examples of answers of the widget route and for operators, by path, status and name.

    Those of the other routes are in ``test_api_examples.py``.
    """
    return {
        (path, int(status), name): example["value"]
        for path, methods in document["paths"].items()
        if path in (WIDGET, *OPERATIONS)
        for method in methods
        for status, answer in responses_of(document, path, method).items()
        for content in answer["content"].values()
        for name, example in content.get("examples", {}).items()
    }


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
    described = responses_of(document, path, method)[str(answer.status)]
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
