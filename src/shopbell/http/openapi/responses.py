"""Schemas and headers of the API reference, and responses whose examples come from the code."""

from collections.abc import Mapping
from typing import Any

import orjson

from shopbell.errors import FIELD_ERRORS_MAX, FieldError, Invalid, RequestError
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.problems import Problems, headers_of

_PROBLEMS = Problems()
EXAMPLE_REQUEST_ID = "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"

SECURITY_SCHEMES: Mapping[str, Any] = {
    "apiToken": {
        "type": "apiKey",
        "in": "header",
        "name": "token",
        "description": "An API token of the organization: `sb_live_…`. `shopbell token create` creates one. "
        "It belongs on a server, never in a browser.",
    },
    "customerSession": {
        "type": "http",
        "scheme": "bearer",
        "description": "The session of a browser or app of a customer: `sbs_…`. `POST /api/customer/sessions` and "
        "`POST /api/authenticate-customer` start one.",
    },
}

FAULT_CODES = (
    "required",
    "type",
    "blank",
    "too_long",
    "invalid_character",
    "invalid_email",
    "invalid_phone_number",
    "invalid_locale",
    "invalid_format",
    "invalid_value",
    "contact_required",
    "exactly_one_required",
    "malformed_json",
    "unsupported_media_type",
    "unsupported_content_encoding",
)

SCHEMAS: Mapping[str, Any] = {
    "Problem": {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance", "developerMessage"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "pattern": "^(/.*)?/problems/[a-z-]+$",
                "description": "The problem type; stable. The URL leads to its explanation.",
            },
            "title": {"type": "string", "minLength": 1, "description": "The problem type in a few words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "minLength": 1, "description": "What is wrong with this request, for people."},
            "instance": {
                "type": "string",
                "format": "uri",
                "pattern": "^urn:uuid:[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
                "description": "The id of the request, as in `X-Request-Id`.",
            },
            "developerMessage": {
                "type": "string",
                "minLength": 1,
                "description": "The same for the log of a developer.",
            },
            "maxBytes": {
                "type": "integer",
                "minimum": 1,
                "description": "With 413, 431 and 429 of uploads: the limit.",
            },
            "reason": {
                "enum": ["expired", "invalid"],
                "description": "With 401 after an identity token: what is wrong with it.",
            },
            "errors": {
                "type": "array",
                "minItems": 1,
                "maxItems": FIELD_ERRORS_MAX,
                "items": {"$ref": "#/components/schemas/Fault"},
                "description": f"With `validation-error`: all errors of the request, at most {FIELD_ERRORS_MAX}.",
            },
        },
    },
    "ValidationProblem": {
        "description": "A problem that lists all errors of the request.",
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "required": ["errors"],
        "properties": {"type": {"type": "string", "pattern": "^(/.*)?/problems/validation-error$"}},
    },
    "Fault": {
        "type": "object",
        "description": "One error of a request.",
        "required": ["in", "code", "detail"],
        "properties": {
            "in": {"enum": ["header", "query", "path", "body"], "description": "The part of the request."},
            "name": {"type": "string", "description": "The name of the header in lower case, or of the parameter."},
            "pointer": {
                "type": "string",
                "pattern": "^#(/.*)?$",
                "description": "The field of the body: a JSON pointer (RFC 6901) as a URI fragment.",
            },
            "code": {"enum": list(FAULT_CODES), "description": "The kind of error; stable."},
            "detail": {"type": "string", "description": "The rule, as the end of a sentence."},
            "expected": {"type": "string", "description": "With `type`: the expected type."},
            "maxLength": {"type": "integer", "description": "With `too_long`: the limit, in characters."},
            "allowed": {
                "type": "array",
                "items": {"type": "string"},
                "description": "With `invalid_value`: the allowed values.",
            },
            "line": {"type": "integer", "minimum": 1, "description": "With `malformed_json`: the line, from 1."},
            "column": {"type": "integer", "minimum": 1, "description": "With `malformed_json`: the column, from 1."},
        },
        "allOf": [{"oneOf": [{"required": ["pointer"]}, {"required": ["name"]}]}],  # the reason is in widget.py
    },
    "Alive": {
        "type": "object",
        "required": ["status", "version"],
        "properties": {
            "status": {"const": "ok"},
            "version": {"type": "string", "description": "The version of Shopbell, such as `0.1.0`."},
        },
    },
    "Ready": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ready"}}},
}

HEADERS: Mapping[str, Any] = {
    "X-Request-Id": {
        "description": "The id of the request: the client's own if it sent a UUID in this header, otherwise a new one.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
    "RateLimit-Policy": {
        "description": "The limit of the token: `q` requests at once, which are available again within `w` seconds "
        "(IETF draft). Every response to a valid token has it.",
        "schema": {"type": "string", "pattern": '^"token";q=[0-9]+;w=[0-9]+$'},
    },
    "RateLimit": {
        "description": "What is left: `r` requests now, and all of them in `t` seconds.",
        "schema": {"type": "string", "pattern": '^"token";r=[0-9]+;t=[0-9]+$'},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotent-Replayed": {
        "description": "`true` if this is the response to an earlier request with the same `Idempotency-Key`.",
        "schema": {"const": "true"},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"enum": ['ApiToken realm="api"', 'Bearer realm="customer"']},
    },
    "Allow": {"description": "The methods of this route.", "required": True, "schema": {"type": "string"}},
}

RATE = ("RateLimit-Policy", "RateLimit")


def headers(*names: str) -> dict[str, Any]:
    """Return the headers of a response: ``X-Request-Id`` and these."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def answer(description: str, examples: Mapping[str, RequestError], *more_headers: str) -> dict[str, Any]:
    """Describe the response to an error.

    Args:
        description: when it occurs.
        examples: errors of one status, by name; may be empty.
        more_headers: headers in addition to those of the errors.
    """
    own_headers = {name for problem in examples.values() for name in headers_of(problem)}
    kinds = {isinstance(problem, Invalid) for problem in examples.values()} or {False}
    schemas = [{"$ref": f"#/components/schemas/{'ValidationProblem' if kind else 'Problem'}"} for kind in sorted(kinds)]
    content: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    if examples:
        content["examples"] = {
            name: {
                "summary": problem_type(problem).title,
                "value": orjson.loads(_PROBLEMS.render(problem, EXAMPLE_REQUEST_ID).body),
            }
            for name, problem in examples.items()
        }
    return {
        "description": description,
        "headers": headers(*sorted(own_headers), *more_headers),
        "content": {"application/problem+json": content},
    }


def missing(operation: dict[str, Any]) -> list[FieldError]:
    """Return the errors of an empty JSON object, and remove the helper entry for them from the operation."""
    json_body = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
    required = [FieldError(name, "required", "is required") for name in json_body["schema"].get("required", ())]
    return required + [FieldError(*error) for error in operation.pop("x-cross-field-errors", ())]
