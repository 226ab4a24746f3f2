"""The routes of customers' browsers and apps in the reference: what they all share is added here."""

from collections.abc import Mapping
from typing import Any

from fastapi.routing import APIRoute

from shopbell.errors import (
    BusinessNotInOrganization,
    ContentTooLarge,
    Fault,
    Invalid,
    MethodNotAllowed,
    NotFound,
    QuotaExceeded,
)
from shopbell.http.customer.access import NoSession
from shopbell.http.customer.sessions import TAG, IdentityRefused, OriginRefused
from shopbell.http.reference_answers import answer, headers, missing
from shopbell.http.reference_examples import Examples
from shopbell.http.reference_widget import REQUEST_ID
from shopbell.settings import Settings

TAGS = ({"name": TAG, "description": "What the widget asks, and apps may: with a session, never with an API token."},)
SESSIONS = "/api/customer/sessions"


def is_customers(route: APIRoute) -> bool:
    """Whether a route is for customers' browsers and apps."""
    return TAG in route.tags


def complete(
    route: APIRoute, operation: dict[str, Any], examples: Examples, settings: Settings, allow: str, name: str
) -> None:
    """Add to FastAPI's description of one of these routes what they share.

    Args:
        route: the route.
        operation: its description; changed in place.
        examples: makes examples.
        settings: the limits that the document names.
        allow: the methods of its path.
        name: its ``operationId``.
    """
    begins = route.path == SESSIONS
    operation["operationId"] = name
    operation["security"] = [] if begins else [{"customerSession": []}]
    operation.pop("x-idempotent", None)
    responses = operation["responses"]
    responses.pop("422", None)
    for response in responses.values():
        response["headers"] = {**response.get("headers", {}), **headers()}
        for kind, content in response.get("content", {}).items():
            example = "Acme Boston\n" if kind == "text/plain" else examples.of(content["schema"])
            content.setdefault("examples", {"ok": {"value": example}})
    body = operation.get("requestBody", {}).get("content", {})
    json_body = body.get("application/json")
    if json_body is not None:
        json_body.setdefault("examples", {"request": {"value": examples.of_body(json_body["schema"])}})
    responses.update(_problems(settings, body, allow, missing(operation), begins=begins))
    operation["responses"] = dict(sorted(responses.items()))
    operation.setdefault("parameters", []).append(REQUEST_ID)


def _problems(
    settings: Settings, body: Mapping[str, Any], allow: str, missing: list[Fault], *, begins: bool
) -> dict[str, Any]:
    problems = {
        "400": answer(
            "The request is not valid; every fault is listed.", {"missing": Invalid(missing)} if missing else {}
        ),
        "405": answer("The route has other methods.", {"method": MethodNotAllowed(allow)}),
        "408": answer("The request did not arrive in time.", {}),
        "429": answer("The visitor, or all visitors together, ask too much.", {"rate": QuotaExceeded(1)}),
        "431": answer("The headers are too large.", {}),
        "500": answer("A bug; it was logged with the id of the request.", {}),
        "503": answer("Storage fails, or more waits than this server takes.", {}, "Retry-After"),
        "404": answer("The session sees nothing of that name.", {"nothing": NotFound()}),
        "409": answer("The request does not fit what is there now.", {}),
    }
    if begins:
        expired = IdentityRefused("expired", "has expired")
        problems["401"] = answer("The identity token is over, or not to be believed.", {"expired": expired})
        problems["403"] = answer(
            "The key is none, this website may not use it, or the business is not the organization's.",
            {
                "origin": OriginRefused(
                    "Header 'origin' is not one of the key's allowed origins; make a key that names it"
                )
            },
        )
        del problems["404"]
    else:
        problems["401"] = answer("The session is over, or never was.", {"session": NoSession()})
        problems["403"] = answer("The business is not the organization's.", {"business": BusinessNotInOrganization()})
    if "application/json" in body:
        problems["413"] = answer(
            f"The body has more than {settings.body_limit_bytes} bytes.",
            {"large": ContentTooLarge(settings.body_limit_bytes)},
        )
    elif body:
        problems["413"] = answer("The body is too large.", {})
    return problems
