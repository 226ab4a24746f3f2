"""The API reference: the OpenAPI 3.1 document of all routes, at ``/openapi.json``.

FastAPI describes what it serves itself. The widget route is bare ASGI, so its description is written by hand, in
``reference_widget.py``. Every answer is the one shape of ``errors.py``, so FastAPI's own 422 goes. A test sends every
example to a real server and compares.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shopbell.errors import (
    BadRequest,
    HeaderFieldsTooLarge,
    MethodNotAllowed,
    Problem,
    RequestTimeout,
    TemporarilyUnavailable,
)
from shopbell.http import reference_api, reference_graphql, reference_streams, reference_widget
from shopbell.http.reference_answers import HEADERS, SCHEMAS, SECURITY_SCHEMES, answer, headers
from shopbell.http.widget import ROUTE
from shopbell.settings import Settings

_DESCRIPTION = """\
One HTTP call from a website's backend opens a conversation with a store and keeps the customer's first message for
good.

**Errors** are problem details (RFC 9457), each explained at the address in its `type`. Codes are stable, texts are not,
and no error repeats what was sent. Every answer has the id of its request in `X-Request-Id`.

**Ids** are decimal strings in answers; requests may send them as strings or as integers. All are below 2^53.
"""

_OPERATIONS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "/healthz": (
        "Is the process alive?",
        "Answers as long as the process runs. It says nothing about the database: restarting would not mend that.",
        {"description": "It is.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Alive"}}}},
    ),
    "/readyz": (
        "Should requests be sent here?",
        "503 while the process is draining after SIGTERM, and while its database fails.",
        {"description": "Yes.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ready"}}}},
    ),
    "/metrics": (
        "How is it doing?",
        "Prometheus' text format: requests by route and status, their duration, batches, the queue, commits.",
        {
            "description": "The metrics of all processes of this server.",
            "content": {"text/plain": {"schema": {"type": "string", "minLength": 1}}},
        },
    ),
}


def install(app: FastAPI) -> None:
    """Let an application serve this document.

    Args:
        app: has all its routes; ``app.state.settings`` are its settings.
    """
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(build(app, app.state.settings))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change the document


def build(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The whole document.

    Args:
        app: has all its routes.
        settings: the limits that the document names.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="Self-hosted customer messaging",
        description=_DESCRIPTION,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
        servers=[{"url": str(settings.public_url).rstrip("/")}] if settings.public_url else [{"url": "/"}],
        tags=[
            {"name": "widget", "description": "For the server behind a website."},
            *reference_api.TAGS,
            {"name": "operations", "description": "For those who run the server. No token is needed."},
        ],
    )
    schemas = {**SCHEMAS, **reference_graphql.SCHEMAS, **document.get("components", {}).get("schemas", {})}
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own 422
        schemas.pop(unused, None)
    reference_api.complete(app, document["paths"], schemas, settings)
    document["paths"] = {
        ROUTE: reference_widget.path_item(settings),
        **document["paths"],
        **reference_streams.path_items(),
        reference_graphql.ROUTE: reference_graphql.path_item(),
    }
    for path, (summary, description, ok) in _OPERATIONS.items():
        document["paths"][path] = {
            "get": {
                "tags": ["operations"],
                "operationId": path.strip("/"),
                "summary": summary,
                "description": f"{description} `HEAD` is answered alike, without a body.",
                "security": [],
                "responses": {"200": {**ok, "headers": headers()}, **_server_problems(settings, path)},
            }
        }
    document["components"] = {
        "securitySchemes": {**SECURITY_SCHEMES, **reference_graphql.SECURITY_SCHEMES},
        "schemas": schemas,
        "headers": HEADERS,
    }
    return document


def _server_problems(settings: Settings, path: str) -> dict[str, Any]:
    """What any route may answer, because the server itself does."""
    examples: dict[str, tuple[Problem, str]] = {
        "notHttp": (BadRequest("There must be exactly one header 'host'."), "The request is not proper HTTP/1.1."),
        "method": (MethodNotAllowed("GET, HEAD"), "Another method than GET or HEAD was used."),
        "slow": (RequestTimeout("headers"), "The headers did not arrive in time."),
        "headers": (HeaderFieldsTooLarge(settings.header_limit_bytes), "The headers are too large."),
        "unavailable": (
            TemporarilyUnavailable(retry_after_s=1 if path == "/readyz" else 5),
            "No requests should be sent here." if path == "/readyz" else "The server has too many connections.",
        ),
    }
    return {
        str(problem.status): answer(description, {name: problem}) for name, (problem, description) in examples.items()
    }
