"""What all routes of the API reference share: schemas, headers, and answers whose examples the code itself makes."""

from collections.abc import Mapping
from typing import Any

import orjson

from shopbell.errors import FAULTS_MAX, Fault, Invalid, Problem
from shopbell.http.problems import render

EXAMPLE_REQUEST_ID = "0193a5d2-6c1e-7c3a-9f0e-2d1b7a4c5e6f"

SECURITY_SCHEMES: Mapping[str, Any] = {
    "apiToken": {
        "type": "apiKey",
        "in": "header",
        "name": "token",
        "description": "An API token of the organization: `sb_live_…`. `shopbell token create` makes one. "
        "It belongs on a server, never in a browser.",
    },
    "customerSession": {
        "type": "http",
        "scheme": "bearer",
        "description": "The session of a customer's browser or app: `sbs_…`. `POST /api/customer/sessions` and "
        "`POST /api/authenticate-customer` begin one.",
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
                "description": "What kind of problem it is; stable. This server explains it at that address.",
            },
            "title": {"type": "string", "minLength": 1, "description": "The kind in a few words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "minLength": 1, "description": "What is wrong this time, for people."},
            "instance": {
                "type": "string",
                "format": "uri",
                "pattern": "^urn:uuid:[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
                "description": "The id of the request, as in `X-Request-Id`.",
            },
            "developerMessage": {"type": "string", "minLength": 1, "description": "The same for a developer's log."},
            "maxBytes": {
                "type": "integer",
                "minimum": 1,
                "description": "Of 413 and 431, and 429 of files: the limit.",
            },
            "reason": {
                "enum": ["expired", "invalid"],
                "description": "Of 401, where an identity token was sent: what is wrong with it.",
            },
            "errors": {
                "type": "array",
                "minItems": 1,
                "maxItems": FAULTS_MAX,
                "items": {"$ref": "#/components/schemas/Fault"},
                "description": f"Of `validation-error`: every fault of the request, the first {FAULTS_MAX} at most.",
            },
        },
    },
    "ValidationProblem": {
        "description": "A problem that lists every fault of the request.",
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "required": ["errors"],
        "properties": {"type": {"type": "string", "pattern": "^(/.*)?/problems/validation-error$"}},
    },
    "Fault": {
        "type": "object",
        "description": "One thing that is wrong with a request.",
        "required": ["in", "code", "detail"],
        "properties": {
            "in": {"enum": ["header", "query", "path", "body"], "description": "Where it is."},
            "name": {"type": "string", "description": "A header's or parameter's name, in lower case."},
            "pointer": {
                "type": "string",
                "pattern": "^#(/.*)?$",
                "description": "In the body: a JSON pointer (RFC 6901) as a URI fragment.",
            },
            "code": {"enum": list(FAULT_CODES), "description": "What is wrong; stable."},
            "detail": {"type": "string", "description": "What must be, as the end of a sentence."},
            "expected": {"type": "string", "description": "Of `type`: what it must be."},
            "maxLength": {"type": "integer", "description": "Of `too_long`: the limit, in characters."},
            "allowed": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Of `invalid_value`: what may stand there.",
            },
            "line": {"type": "integer", "minimum": 1, "description": "Of `malformed_json`: the line, from 1."},
            "column": {"type": "integer", "minimum": 1, "description": "Of `malformed_json`: the column, from 1."},
        },
        "allOf": [{"oneOf": [{"required": ["pointer"]}, {"required": ["name"]}]}],  # why so: reference_widget.py
    },
    "Alive": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
    "Ready": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ready"}}},
}

HEADERS: Mapping[str, Any] = {
    "X-Request-Id": {
        "description": "The id of the request: the client's own if it sent a UUID in this header, else a new one.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
    "RateLimit-Policy": {
        "description": "The token's quota: `q` requests at once, and the whole of them again within `w` seconds "
        "(IETF draft). Once the token is valid every answer has it.",
        "schema": {"type": "string", "pattern": '^"token";q=[0-9]+;w=[0-9]+$'},
    },
    "RateLimit": {
        "description": "What is left of it: `r` requests now, and the whole quota in `t` seconds.",
        "schema": {"type": "string", "pattern": '^"token";r=[0-9]+;t=[0-9]+$'},
    },
    "Retry-After": {
        "description": "Seconds after which it is worth trying again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotent-Replayed": {
        "description": "`true` when this answer is that of an earlier request with the same `Idempotency-Key`.",
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
    """The headers of an answer: the one that all have, and these."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def answer(description: str, examples: Mapping[str, Problem], *more_headers: str) -> dict[str, Any]:
    """Describe the answer that tells of a problem.

    Args:
        description: when it comes.
        examples: real problems by their names; all of one status. There may be none.
        more_headers: headers that it has beside those of the problem itself.
    """
    own_headers = {name for problem in examples.values() for name in problem.headers()}
    kinds = {isinstance(problem, Invalid) for problem in examples.values()} or {False}
    schemas = [{"$ref": f"#/components/schemas/{'ValidationProblem' if kind else 'Problem'}"} for kind in sorted(kinds)]
    content: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    if examples:
        content["examples"] = {
            name: {"summary": problem.title, "value": orjson.loads(render(problem, EXAMPLE_REQUEST_ID).body)}
            for name, problem in examples.items()
        }
    return {
        "description": description,
        "headers": headers(*sorted(own_headers), *more_headers),
        "content": {"application/problem+json": content},
    }


def missing(operation: dict[str, Any]) -> list[Fault]:
    """What is wrong with a JSON body that has nothing in it; takes from an operation what is there for this alone."""
    json_body = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
    required = [
        Fault("body", f"#/{name}", "required", "is required") for name in json_body["schema"].get("required", ())
    ]
    return required + [Fault("body", *fault) for fault in operation.pop("x-faults-beside", ())]
