"""The OpenAPI document is valid and matches what a real server accepts."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.databases import Acme
from harness.documented import OPERATIONS, answers_in, as_json, check, conforms, post, request_schema
from harness.installation import Server
from harness.shop import WIDGET
from shopbell.formats.identities import LOCALE_MAX_CHARACTERS, normal_locale
from shopbell.http.openapi.widget import LANGUAGE_TAG
from shopbell.http.request.problem_types import PROBLEM_TYPES


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


def test_the_document_describes_every_api_route(document: dict[str, Any]) -> None:
    assert {path for path in document["paths"] if not path.startswith("/api/")} == {*OPERATIONS, "/graphql"}
    assert WIDGET in document["paths"]


def test_an_error_of_several_operations_is_in_the_document_once(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    described = [
        json.dumps(response)
        for operation in operations
        for status, response in operation["responses"].items()
        if status >= "400" and "$ref" not in response
    ]
    shared = [json.dumps(each) for each in document["components"]["responses"].values()]
    assert len(described + shared) == len({*described, *shared})
    assert {"QuotaExceeded", "Unauthorized"} <= set(document["components"]["responses"])


def test_the_document_describes_no_errors_that_are_never_sent(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for (_, status, name), example in answers_in(document).items():
        if status >= 400:
            problem = PROBLEM_TYPES[example["type"].removeprefix("/problems/")]
            assert (problem.status, problem.title) == (status, example["title"]), name


def test_a_user_without_a_contact_is_refused_although_the_schema_cannot_express_it(
    acme_server: Server, acme: Acme
) -> None:
    body = {"businessId": "12345", "message": "x", "user": {"email": None, "phoneNumber": None}}
    assert post(acme_server, acme.token, as_json(body)).status_code == 400


def _schemas_in(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _schemas_in(each)


def test_no_schema_combines_alternatives_with_properties(document: dict[str, Any]) -> None:
    """Generators of clients take the alternatives for the whole, and drop the properties."""
    for schema in _schemas_in(document):
        assert "properties" not in schema or not {"anyOf", "oneOf"} & schema.keys(), schema


def test_every_array_declares_its_items(document: dict[str, Any]) -> None:
    for schema in _schemas_in(document):
        assert (
            "array" not in (kinds := schema.get("type", ())) or not isinstance(kinds, str | list) or "items" in schema
        )


def test_no_boolean_is_a_constant(document: dict[str, Any]) -> None:
    assert not [schema for schema in _schemas_in(document) if isinstance(schema.get("const"), bool)]


def test_the_widget_route_accepts_only_the_token_for_authentication(document: dict[str, Any]) -> None:
    (requirement,) = document["paths"][WIDGET]["post"]["security"]
    (name,) = requirement
    scheme = document["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "token")


@pytest.mark.parametrize(
    "body",
    [
        {"businessId": 12345, "message": "x", "user": {"email": "carol@example.com", "phoneNumber": None}},
        {
            "businessId": "12345",
            "message": "\u202bمرحبا 👋\n",
            "user": {"phoneNumber": "617 555 0100", "locale": "pt_BR"},
        },
        {"businessId": "12345", "message": "x", "user": {"email": "carol@example.com", "name": ["no name"]}},
        {
            "businessId": "12345",
            "message": "x" * 10_000,
            "user": {"email": "carol@example.com", "locale": None},
            "a": 1,
        },
    ],
    ids=["integer", "unicode", "no name", "longest"],
)
def test_requests_allowed_by_the_schema_get_200(
    document: dict[str, Any], acme_server: Server, acme: Acme, body: dict[str, Any]
) -> None:
    check(document, request_schema(document), body)
    assert post(acme_server, acme.token, as_json(body)).status_code == 200


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
        {"businessId": "12345", "message": "x", "user": {"email": "a" * 243 + "@example.com"}},
        {"businessId": "12345", "message": "x", "user": {"phoneNumber": "+1555" + "0" * 36}},
        {"businessId": "12345", "message": "x", "user": {"email": "carol@example.com", "locale": "e n"}},
        {"businessId": "12345", "message": "x", "user": {"email": "carol@example.com", "locale": "en-" + "abcd-" * 7}},
    ],
)
def test_requests_forbidden_by_the_schema_get_400(
    document: dict[str, Any], acme_server: Server, acme: Acme, body: object
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(document, request_schema(document), body)
    answer = post(acme_server, acme.token, as_json(body))
    assert answer.status_code == 400
    conforms(document, WIDGET, "post", answer)


@given(tag=st.from_regex(LANGUAGE_TAG, fullmatch=True) | st.from_regex("[a-zA-Z0-9_-]{1,20}", fullmatch=True))
@settings(max_examples=500)
def test_the_schema_and_the_server_accept_the_same_language_tags(tag: str) -> None:
    is_known = len(tag) <= LOCALE_MAX_CHARACTERS
    try:
        normal_locale(tag)
    except ValueError:
        is_known = False
    assert bool(re.search(LANGUAGE_TAG, tag) and len(tag) <= LOCALE_MAX_CHARACTERS) == is_known


def test_the_order_of_checks_is_documented_completely(document: dict[str, Any]) -> None:
    description = document["paths"][WIDGET]["post"]["description"]
    (told,) = re.findall(r"\*\*Order of checks\*\*: ([^.]*)\.", description)
    assert re.findall(r"\b[45][0-9]{2}\b", told) == ["401", "429", "403", "408", "413", "400", "403", "422"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_health_endpoints_can_be_requested_with_head(document: dict[str, Any], acme_server: Server, path: str) -> None:
    answer = acme_server.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert acme_server.client.delete(path).headers["allow"] == "GET, HEAD"
    assert "`HEAD`" in document["paths"][path]["get"]["description"]
