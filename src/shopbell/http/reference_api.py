"""The conversations API in the reference: FastAPI describes its routes, and what they all share is added here."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from shopbell.http.reference_answers import RATE, answer, headers
from shopbell.http.reference_widget import IDEMPOTENCY_KEY, REQUEST_ID
from shopbell.settings import Settings

TAGS = (
    {"name": "threads", "description": "Conversations: read them, answer in them, hand them on."},
    {"name": "attachments", "description": "Files that messages carry."},
    {"name": "customers", "description": "Who writes to the organization: profiles, merges, blocks, erasure, export."},
    {"name": "templates", "description": "Texts that may be sent when a channel's window is closed."},
    {"name": "employees", "description": "Who answers the organization's customers."},
    {"name": "businesses", "description": "Businesses (stores): what customers write to."},
    {"name": "events", "description": "Everything that happens, in order, to be followed without a gap."},
    {"name": "webhooks", "description": "Addresses that are told of messages and transfers; what became of it."},
)


def complete(app: FastAPI, paths: dict[str, Any], schemas: dict[str, Any], settings: Settings) -> None:
    """Add to FastAPI's description of the API's routes what they share.

    Args:
        app: has all its routes.
        paths: of the document, by path; changed in place.
        schemas: the document's schemas; gets those of the bodies.
        settings: the limits that the document names.
    """
    for route in _api_routes(app):
        for method in route.methods or ():
            _complete(route, paths[route.path][method.lower()], schemas, settings)


def scope_of(route: APIRoute) -> str:
    """The scope that a route of the API needs."""
    (first, *_) = route.dependant.dependencies
    scope: str = first.call.scope  # type: ignore[union-attr]  # set by access.needs
    return scope


def _api_routes(app: FastAPI) -> Iterator[APIRoute]:
    for route in app.routes:
        for one in getattr(getattr(route, "original_router", None), "routes", [route]):
            if isinstance(one, APIRoute) and one.include_in_schema:
                yield one


def _complete(route: APIRoute, operation: dict[str, Any], schemas: dict[str, Any], settings: Settings) -> None:
    scope = scope_of(route)
    operation["operationId"] = _camel(route.name)
    operation["security"] = [{"apiToken": [scope]}]
    responses = operation["responses"]
    responses.pop("422", None)
    for status, response in responses.items():
        if status.startswith("2"):
            response["headers"] = {**response.get("headers", {}), **headers(*RATE)}
    parameters = operation.setdefault("parameters", [])
    parameters.append(REQUEST_ID)
    body = operation.get("requestBody")
    if body is not None:
        (content,) = body["content"].values()
        schemas.update(content["schema"].pop("$defs", {}))
    takes_file = body is not None and "multipart/form-data" in body["content"]
    responses.update(_problems(scope, settings, has_body=body is not None, takes_file=takes_file))
    if operation.pop("x-idempotent", False):
        parameters.append(IDEMPOTENCY_KEY)
        responses["200"]["headers"].update(headers("Idempotent-Replayed"))
        responses["422"] = answer("The `Idempotency-Key` was used with another body within 24 hours.", {}, *RATE)


def _problems(scope: str, settings: Settings, *, has_body: bool, takes_file: bool) -> dict[str, Any]:
    problems = {
        "400": answer("The request is not valid; every fault is listed.", {}, *RATE),
        "401": answer("The token is missing, or not valid.", {}, "WWW-Authenticate"),
        "403": answer(f"The token lacks the scope `{scope}`.", {}, *RATE),
        "404": answer("There is no such object in the token's organization.", {}, *RATE),
        "405": answer("The route has other methods.", {}, "Allow"),
        "408": answer("The request did not arrive in time.", {}, *RATE),
        "409": answer("The request does not fit what is there now.", {}, *RATE),
        "429": answer("The token has used up its rate.", {}, "Retry-After", *RATE),
        "431": answer("The headers are too large.", {}),
        "500": answer("A bug; it was logged with the id of the request.", {}, *RATE),
        "503": answer("Storage fails, or more waits than this server takes.", {}, "Retry-After", *RATE),
    }
    if has_body:
        problems["413"] = answer(f"The body has more than {settings.body_limit_bytes} bytes.", {}, *RATE)
    if takes_file:
        problems["413"] = answer(f"The file has more than {settings.attachment_limit_bytes} bytes.", {}, *RATE)
    return dict(sorted(problems.items()))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
