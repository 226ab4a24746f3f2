"""The API reference: the OpenAPI 3.1 document of all routes, at ``/openapi.json``.

FastAPI describes its own routes. The others are described by hand, in ``widget.py`` and ``streams.py``. All
errors have one shape, so FastAPI's 422 is removed. A test sends every example to a real server and compares the
responses.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shopbell.errors import RequestError
from shopbell.http.openapi import api, graphql, streams, widget
from shopbell.http.openapi.responses import HEADERS, SCHEMAS, SECURITY_SCHEMES, answer, headers
from shopbell.http.request.errors import MethodNotAllowed
from shopbell.http.request.problem_types import PROBLEM_TYPES, problem_type
from shopbell.http.request.problems import Problems
from shopbell.http.server.errors import BadRequest, HeaderFieldsTooLarge, RequestTimeout, TemporarilyUnavailable
from shopbell.http.widget import ROUTE
from shopbell.settings.settings import Settings

_DESCRIPTION = """\
One HTTP call from the backend of a website starts a conversation with a business and stores the first message.

**Errors** are problem details (RFC 9457). The URL in `type` explains each problem. Codes are stable, texts may change,
and no error repeats a submitted value. Every response has the id of its request in `X-Request-Id`.

**Ids** are decimal strings in responses. Requests may send strings or integers. All ids are below 2^53.
"""

_OPERATIONS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "/healthz": (
        "Check that the process runs",
        "Responds as long as the process runs. The state of the database does not matter here.",
        {
            "description": "The process runs.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Alive"}}},
        },
    ),
    "/readyz": (
        "Check that the process can take requests",
        "503 while the process drains after SIGTERM, and while its database fails.",
        {
            "description": "The process can take requests.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ready"}}},
        },
    ),
    "/metrics": (
        "Read the metrics",
        "Prometheus' text format: requests by route and status, their durations, batches, the queue, commits.",
        {
            "description": "The metrics of all processes of this server.",
            "content": {"text/plain": {"schema": {"type": "string", "minLength": 1}}},
        },
    ),
}


def install(app: FastAPI) -> None:
    """Let an application, which has all its routes and ``state.settings``, serve this document."""
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(build(app, app.state.settings))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change the document


def build(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """Build the document.

    Args:
        app: the application, with all routes.
        settings: the limits in the document.
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
            {"name": "widget", "description": "For the backend of a website."},
            *api.TAGS,
            {"name": "operations", "description": "For operators. No token is needed."},
        ],
    )
    schemas = {**SCHEMAS, **graphql.SCHEMAS, **document.get("components", {}).get("schemas", {})}
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own 422
        schemas.pop(unused, None)
    api.complete(app, document["paths"], schemas, settings)
    document["paths"] = {
        ROUTE: widget.path_item(settings),
        **document["paths"],
        **streams.path_items(),
        graphql.ROUTE: graphql.path_item(),
    }
    for path, (summary, description, ok) in _OPERATIONS.items():
        if path == "/metrics" and settings.metrics_port is not None:
            continue
        document["paths"][path] = {
            "get": {
                "tags": ["operations"],
                "operationId": path.strip("/"),
                "summary": summary,
                "description": f"{description} `HEAD` gets the same response without a body.",
                "security": [],
                "responses": {"200": {**ok, "headers": headers()}, **_server_problems(settings, path)},
            }
        }
    _link_problems(document["paths"], Problems(settings.public_url))
    document["components"] = {
        "securitySchemes": {**SECURITY_SCHEMES, **graphql.SECURITY_SCHEMES},
        "schemas": schemas,
        "headers": HEADERS,
        "responses": _share_problems(document["paths"]),
    }
    return document


def _link_problems(paths: Mapping[str, Any], problems: Problems) -> None:
    """Give the examples of errors the ``type`` that this server returns."""
    operations = [operation for methods in paths.values() for operation in methods.values()]
    for response in [response for operation in operations for response in operation["responses"].values()]:
        for example in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).values():
            example["value"]["type"] = problems.type_of(example["value"]["type"].rpartition("/")[2])


def _share_problems(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each error response that several operations have by a reference.

    The document is half as large, and Swagger UI shows it in two thirds of the time.

    Returns:
        These responses by name: that of the problem type, such as ``NotFound``, and for its further ones ``NotFound2``.
    """
    operations = [operation for methods in paths.values() for operation in methods.values()]
    uses = Counter(orjson.dumps(response) for one in operations for response in one["responses"].values())
    shared: dict[str, Any] = {}
    names: dict[bytes, str] = {}
    variants: Counter[str] = Counter()
    for responses in [operation["responses"] for operation in operations]:
        for status, response in responses.items():
            content = orjson.dumps(response)
            if status < "400" or uses[content] == 1:
                continue
            if content not in names:
                kind = _problem_name(status, response)
                variants[kind] += 1
                names[content] = kind if variants[kind] == 1 else f"{kind}{variants[kind]}"
                shared[names[content]] = response
            responses[status] = {"$ref": f"#/components/responses/{names[content]}"}
    return shared


def _problem_name(status: str, response: Mapping[str, Any]) -> str:
    """Name a response by the problem type of its first example, otherwise by the usual one of its status."""
    examples = response["content"]["application/problem+json"].get("examples", {})
    shown = (each["value"]["type"].rpartition("/")[2] for each in examples.values())
    usual = (slug for slug, problem in PROBLEM_TYPES.items() if problem.status == int(status))
    slug: str = next(chain(shown, usual))
    return slug.title().replace("-", "")


def _server_problems(settings: Settings, path: str) -> dict[str, Any]:
    """The errors that the server returns on any route."""
    examples: dict[str, tuple[RequestError, str]] = {
        "notHttp": (BadRequest("There must be exactly one header 'host'."), "The request is not valid HTTP/1.1."),
        "method": (MethodNotAllowed("GET, HEAD"), "Another method than GET or HEAD was used."),
        "slow": (RequestTimeout("headers"), "The headers did not arrive in time."),
        "headers": (HeaderFieldsTooLarge(settings.header_limit_bytes), "The headers are too large."),
        "unavailable": (
            TemporarilyUnavailable(retry_after_s=1 if path == "/readyz" else 5),
            "The process cannot take requests." if path == "/readyz" else "The server has too many connections.",
        ),
    }
    return {
        str(problem_type(error).status): answer(description, {name: error})
        for name, (error, description) in examples.items()
    }
