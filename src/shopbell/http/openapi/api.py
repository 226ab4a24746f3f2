"""What all FastAPI routes share in the API reference: security, problems, headers and examples."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from shopbell.errors import FieldError, IdempotencyKeyReused, Invalid, NotFound, QuotaExceeded
from shopbell.http.customer.sessions import TAG, IdentityRefused
from shopbell.http.openapi.examples import Examples
from shopbell.http.openapi.responses import RATE, answer, headers, missing
from shopbell.http.openapi.widget import IDEMPOTENCY_KEY, REQUEST_ID
from shopbell.http.request.customer_sessions import NoSession
from shopbell.http.request.errors import (
    BusinessNotInOrganization,
    ContentTooLarge,
    Forbidden,
    MethodNotAllowed,
    Unauthorized,
)
from shopbell.http.request.fields import MUST_EXIST
from shopbell.http.request.methods import all_routes, allowed
from shopbell.http.request.origins import OriginRefused
from shopbell.settings.settings import Settings

TAGS = (
    {"name": "threads", "description": "Read conversations, reply, transfer and assign them."},
    {"name": "inbox", "description": "What employees see and do in the inbox. A token acts for an employee."},
    {"name": "attachments", "description": "Files of messages."},
    {"name": "customers", "description": "Profiles, merges, blocking, erasure and export of customers."},
    {"name": "templates", "description": "Texts that may be sent outside the messaging window of a channel."},
    {"name": "employees", "description": "The employees of the organization."},
    {"name": "organization", "description": "The organization and its retention periods."},
    {"name": "businesses", "description": "The businesses that customers write to."},
    {"name": "events", "description": "All events, in order and without gaps."},
    {"name": "webhooks", "description": "Webhooks and their deliveries."},
    {"name": TAG, "description": "Routes for the widget and for apps, with a session instead of an API token."},
)
SESSIONS = "/api/customer/sessions"
_IDS = "^(0|[1-9][0-9]{0,15})$"


def complete(app: FastAPI, paths: dict[str, Any], schemas: dict[str, Any], settings: Settings) -> None:
    """Complete FastAPI's description of its routes.

    Args:
        app: the application, with all routes.
        paths: the paths of the document; changed in place.
        schemas: the schemas of the document. Those of the bodies are added.
        settings: the limits in the document.
    """
    routes = [route for route in all_routes(app.routes) if isinstance(route, APIRoute) and route.path in paths]
    for route in routes:
        for method in route.methods or ():
            body = paths[route.path][method.lower()].get("requestBody", {}).get("content", {})
            for content in body.values():
                _add(schemas, content["schema"].pop("$defs", {}))
    _remove_titles([schemas, [paths[route.path] for route in routes]])
    for route in routes:
        for method in route.methods or ():
            allow = allowed(app.routes, route.path.replace("{", "").replace("}", ""))
            _complete(route, paths[route.path][method.lower()], Examples(schemas), settings, allow)


def scope_of(route: APIRoute) -> str | None:
    """Return the scope that a route needs, if it needs one."""
    (first, *_) = route.dependant.dependencies
    scope: str | None = first.call.scope  # type: ignore[union-attr]  # set by require_scope
    return scope


def serves_single_businesses(route: APIRoute) -> bool:
    """Whether a role in a single business is enough for a route."""
    (first, *_) = route.dependant.dependencies
    is_enough: bool = first.call.some  # type: ignore[union-attr]  # set by require_scope
    return is_enough


def _add(schemas: dict[str, Any], parts: Mapping[str, Any]) -> None:
    for name, schema in parts.items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two models have the name {name}; rename one")


def _remove_titles(part: Any) -> None:
    """Remove the titles that pydantic derives from field names."""
    if isinstance(part, list):
        for each in part:
            _remove_titles(each)
    elif isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for name, each in part.items():
            if name not in ("examples", "example", "default", "const", "enum"):
                _remove_titles(each)


def _complete(route: APIRoute, operation: dict[str, Any], examples: Examples, settings: Settings, allow: str) -> None:
    is_customers = TAG in route.tags
    rate = () if is_customers else RATE
    operation["operationId"] = _camel(route.name)
    operation["security"] = _security(route)
    if not is_customers and serves_single_businesses(route):
        operation["x-single-businesses"] = True
    responses = operation["responses"]
    responses.pop("422", None)
    for response in responses.values():
        response["headers"] = {**response.get("headers", {}), **headers(*rate)}
        for kind, content in response.get("content", {}).items():
            example = "Acme Boston\n" if kind == "text/plain" else examples.of(content["schema"])
            content.setdefault("examples", {"ok": {"value": example}})
    parameters = operation.setdefault("parameters", [])
    body = operation.get("requestBody", {}).get("content", {})
    json_body = body.get("application/json")
    if json_body is not None:
        json_body.setdefault("examples", {"request": {"value": examples.of_body(json_body["schema"])}})
    own = _customer_problems(route) if is_customers else _api_problems(scope_of(route), parameters, json_body, allow)
    problems = _shared_problems(settings, body, allow, missing(operation), rate) | own
    responses.update(sorted(problems.items()))
    parameters.append(REQUEST_ID)
    if operation.pop("x-idempotent", False) and not is_customers:
        parameters.append(IDEMPOTENCY_KEY)
        responses["200"]["headers"].update(headers("Idempotent-Replayed"))
        reused = {"reused": IdempotencyKeyReused()}
        responses["422"] = answer("The `Idempotency-Key` was used with another body within 24 hours.", reused, *RATE)


def _security(route: APIRoute) -> list[dict[str, list[str]]]:
    if TAG in route.tags:
        return [] if route.path == SESSIONS else [{"customerSession": []}]
    scope = scope_of(route)
    return [{"apiToken": [] if scope is None else [scope]}]


def _shared_problems(
    settings: Settings, body: Mapping[str, Any], allow: str, missing: list[FieldError], rate: tuple[str, ...]
) -> dict[str, Any]:
    """The problems of every route. Their examples are those that a test can provoke on each route."""
    errors = {"missing": Invalid(missing)} if missing else {}
    problems = {
        "400": answer("The request is not valid. All errors are listed.", errors, *rate),
        "405": answer("The route has other methods.", {"method": MethodNotAllowed(allow)}),
        "408": answer("The request did not arrive in time.", {}, *rate),
        "429": answer("A rate limit is used up.", {"rate": QuotaExceeded(1)}, *rate),
        "431": answer("The headers are too large.", {}),
        "500": answer("A bug. It was logged with the id of the request.", {}, *rate),
        "503": answer("Storage fails, or the server has too much to do.", {}, "Retry-After", *rate),
    }
    if "application/json" in body:
        large = {"large": ContentTooLarge(settings.body_limit_bytes)}
        problems["413"] = answer(f"The body has more than {settings.body_limit_bytes} bytes.", large, *rate)
    elif body:
        problems["413"] = answer("The body is too large.", {}, *rate)
    return problems


def _api_problems(
    scope: str | None, parameters: list[dict[str, Any]], json_body: Mapping[str, Any] | None, allow: str
) -> dict[str, Any]:
    problems = {"401": answer("The token is missing or not valid.", {"token": Unauthorized.absent()})}
    if scope is not None:
        problems["403"] = answer(f"The token lacks the scope `{scope}`.", {"scope": Forbidden(scope)}, *RATE)
    named = _first_name(parameters, json_body)
    if named is not None:
        nothing = {"nothing": NotFound(named)}
        problems["404"] = answer("An id in the request does not belong to the organization.", nothing, *RATE)
    if allow != "GET":
        problems["409"] = answer("The request contradicts the current state.", {}, *RATE)
    return problems


def _customer_problems(route: APIRoute) -> dict[str, Any]:
    conflict = {"409": answer("The request contradicts the current state.", {})}
    if route.path == SESSIONS:
        origin = OriginRefused("Header 'origin' is not an allowed origin of the key; create a key with it")
        expired = IdentityRefused("expired", "has expired")
        return conflict | {
            "401": answer("The identity token has expired or is not valid.", {"expired": expired}),
            "403": answer(
                "The key is not valid, this website may not use it, or the business does not belong to the "
                "organization.",
                {"origin": origin},
            ),
        }
    business = {"business": BusinessNotInOrganization()}
    return conflict | {
        "401": answer("The session has ended or does not exist.", {"session": NoSession()}),
        "403": answer("The business does not belong to the organization.", business),
        "404": answer("There is no such object that the session can see.", {"nothing": NotFound()}),
    }


def _first_name(parameters: list[dict[str, Any]], json_body: Mapping[str, Any] | None) -> str | None:
    """Return the first field or parameter with an id that must exist. Filters of lists need not exist."""
    named = [
        (parameter["name"], parameter["schema"])
        for parameter in parameters
        if parameter.get("required") or MUST_EXIST.items() <= parameter["schema"].items()
    ]
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
