"""The conversations API in the reference: FastAPI describes its routes, and what they all share is added here."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from shopbell.errors import (
    ContentTooLarge,
    Fault,
    Forbidden,
    IdempotencyKeyReused,
    Invalid,
    MethodNotAllowed,
    NotFound,
    QuotaExceeded,
    Unauthorized,
)
from shopbell.http import reference_customer
from shopbell.http.methods import all_routes, allowed
from shopbell.http.reference_answers import RATE, answer, headers, missing
from shopbell.http.reference_examples import Examples
from shopbell.http.reference_widget import IDEMPOTENCY_KEY, REQUEST_ID
from shopbell.settings import Settings

TAGS = (
    {"name": "threads", "description": "Conversations: read them, answer in them, hand them on."},
    {"name": "attachments", "description": "Files that messages carry."},
    {"name": "customers", "description": "Who writes to the organization: profiles, merges, blocks, erasure, export."},
    {"name": "templates", "description": "Texts that may be sent when a channel's window is closed."},
    {"name": "employees", "description": "Who answers the organization's customers."},
    {"name": "organization", "description": "The organization itself, and how long it keeps what is said to it."},
    {"name": "businesses", "description": "Businesses (stores): what customers write to."},
    {"name": "events", "description": "Everything that happens, in order, to be followed without a gap."},
    {"name": "webhooks", "description": "Addresses that are told of messages and transfers; what became of it."},
    *reference_customer.TAGS,
)
_IDS = "^(0|[1-9][0-9]{0,15})$"


def complete(app: FastAPI, paths: dict[str, Any], schemas: dict[str, Any], settings: Settings) -> None:
    """Add to FastAPI's description of the API's routes what they share.

    Args:
        app: has all its routes.
        paths: of the document, by path; changed in place.
        schemas: the document's schemas; gets those of the bodies.
        settings: the limits that the document names.
    """
    routes = [route for route in all_routes(app.routes) if isinstance(route, APIRoute) and route.path in paths]
    for route in routes:
        for method in route.methods or ():
            body = paths[route.path][method.lower()].get("requestBody", {}).get("content", {})
            for content in body.values():
                _add(schemas, content["schema"].pop("$defs", {}))
    _forget_titles([schemas, [paths[route.path] for route in routes]])
    for route in routes:
        for method in route.methods or ():
            allow = allowed(app.routes, route.path.replace("{", "").replace("}", ""))
            operation, examples = paths[route.path][method.lower()], Examples(schemas)
            if reference_customer.is_customers(route):
                reference_customer.complete(route, operation, examples, settings, allow, _camel(route.name))
            else:
                _complete(route, operation, examples, settings, allow)


def scope_of(route: APIRoute) -> str:
    """The scope that a route of the API needs."""
    (first, *_) = route.dependant.dependencies
    scope: str = first.call.scope  # type: ignore[union-attr]  # set by access.needs
    return scope


def _add(schemas: dict[str, Any], parts: Mapping[str, Any]) -> None:
    for name, schema in parts.items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two kinds of fields are called {name}; give one of them another name")


def _forget_titles(part: Any) -> None:
    """Take away the titles that pydantic makes of the names of fields: they tell nothing."""
    if isinstance(part, list):
        for each in part:
            _forget_titles(each)
    elif isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for name, each in part.items():
            if name not in ("examples", "example", "default", "const", "enum"):
                _forget_titles(each)


def _complete(route: APIRoute, operation: dict[str, Any], examples: Examples, settings: Settings, allow: str) -> None:
    scope = scope_of(route)
    operation["operationId"] = _camel(route.name)
    operation["security"] = [{"apiToken": [scope]}]
    responses = operation["responses"]
    responses.pop("422", None)
    for status, response in responses.items():
        if status.startswith("2"):
            response["headers"] = {**response.get("headers", {}), **headers(*RATE)}
            for content in response.get("content", {}).values():
                content.setdefault("examples", {"ok": {"value": examples.of(content["schema"])}})
    parameters = operation.setdefault("parameters", [])
    body = operation.get("requestBody", {}).get("content", {})
    json_body = body.get("application/json")
    if json_body is not None:
        json_body.setdefault("examples", {"request": {"value": examples.of_body(json_body["schema"])}})
    faults = missing(operation)
    responses.update(_problems(scope, settings, parameters, body, allow, faults))
    parameters.append(REQUEST_ID)
    if operation.pop("x-idempotent", False):
        parameters.append(IDEMPOTENCY_KEY)
        responses["200"]["headers"].update(headers("Idempotent-Replayed"))
        reused = {"reused": IdempotencyKeyReused()}
        responses["422"] = answer("The `Idempotency-Key` was used with another body within 24 hours.", reused, *RATE)


def _problems(
    scope: str,
    settings: Settings,
    parameters: list[dict[str, Any]],
    body: Mapping[str, Any],
    allow: str,
    missing: list[Fault],
) -> dict[str, Any]:
    """What a route may answer instead; the examples are those that a test can provoke on each route."""
    json_body = body.get("application/json")
    faults = {"missing": Invalid(missing)} if missing else {}
    problems = {
        "400": answer("The request is not valid; every fault is listed.", faults, *RATE),
        "401": answer("The token is missing, or not valid.", {"token": Unauthorized.absent()}),
        "403": answer(f"The token lacks the scope `{scope}`.", {"scope": Forbidden(scope)}, *RATE),
        "405": answer("The route has other methods.", {"method": MethodNotAllowed(allow)}),
        "408": answer("The request did not arrive in time.", {}, *RATE),
        "429": answer("The token has used up its rate.", {"rate": QuotaExceeded(1)}, *RATE),
        "431": answer("The headers are too large.", {}),
        "500": answer("A bug; it was logged with the id of the request.", {}, *RATE),
        "503": answer("Storage fails, or more waits than this server takes.", {}, "Retry-After", *RATE),
    }
    named = _first_name(parameters, json_body)
    if named is not None:
        nothing = {"nothing": NotFound(named)}
        problems["404"] = answer("An id in the request is not one of the organization's.", nothing, *RATE)
    if allow != "GET":
        problems["409"] = answer("The request does not fit what is there now.", {}, *RATE)
    if json_body is not None:
        large = {"large": ContentTooLarge(settings.body_limit_bytes)}
        problems["413"] = answer(f"The body has more than {settings.body_limit_bytes} bytes.", large, *RATE)
    elif body:
        problems["413"] = answer("The body is too large.", {}, *RATE)
    return dict(sorted(problems.items()))


def _first_name(parameters: list[dict[str, Any]], json_body: Mapping[str, Any] | None) -> str | None:
    """The first field or parameter with an id that must exist; filters of a list need not."""
    named = [(parameter["name"], parameter["schema"]) for parameter in parameters if parameter.get("required")]
    if json_body is not None:
        required = json_body["schema"].get("required", ())
        fields = json_body["schema"].get("properties", {}).items()
        named += sorted(fields, key=lambda field: field[0] not in required)
    ids = (
        name
        for name, schema in named
        if any(part.get("pattern") == _IDS for part in (schema, *schema.get("anyOf", ())))
    )
    return next(ids, None)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
