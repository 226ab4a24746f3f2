"""The GraphQL route in the API reference, by hand because bodies and errors have the shape of GraphQL."""

from typing import Any

from shopbell.http.api.graphql import OPERATIONS, QUERY_MAX_CHARACTERS
from shopbell.http.openapi.responses import RATE, answer, headers
from shopbell.http.openapi.widget import REQUEST_ID
from shopbell.http.request.errors import MethodNotAllowed

ROUTE = "/graphql"
SECURITY_SCHEMES: dict[str, Any] = {
    "graphqlToken": {
        "type": "apiKey",
        "in": "header",
        "name": "Authentication-Token",
        "description": "An API token of the organization, as `token` on the other routes.",
    }
}

_DESCRIPTION = f"""\
A compatibility route for clients of the hosted service that Shopbell replaces. `query` is a GraphQL document or one of
the stored operations {", ".join(f"`{name}`" for name in OPERATIONS)}. A query needs the scope `customers:read`, a
mutation also needs `customers:write`. `docs/graphql.md` has the schema, the limits and the errors.
"""
_ERROR = {
    "type": "object",
    "required": ["message", "extensions"],
    "properties": {
        "message": {"type": "string", "minLength": 1},
        "locations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["line", "column"],
                "properties": {"line": {"type": "integer"}, "column": {"type": "integer"}},
            },
        },
        "path": {"type": "array", "items": {"type": ["string", "integer"]}},
        "extensions": {
            "type": "object",
            "required": ["code"],
            "properties": {"code": {"type": "string", "description": "The name of a problem type; stable."}},
        },
    },
}
SCHEMAS: dict[str, Any] = {
    "GraphqlRequest": {
        "type": "object",
        "required": ["query"],
        "properties": {
            "query": {"type": "string", "maxLength": QUERY_MAX_CHARACTERS},
            "variables": {
                "type": ["object", "null"],
                "description": "The variables of the stored operations. Other documents may have other ones.",
                "properties": {
                    "customerId": {"type": ["string", "integer"]},
                    **{name: {"type": "string"} for name in ("customerType", "firstName", "lastName", "company")},
                },
            },
            "operationName": {"type": ["string", "null"]},
        },
    },
    "GraphqlAnswer": {
        "type": "object",
        "properties": {
            "data": {"type": ["object", "null"]},
            "errors": {"type": "array", "minItems": 1, "items": _ERROR},
        },
    },
}


def path_item() -> dict[str, Any]:
    """Return the description of the route."""
    method = {"method": MethodNotAllowed("POST")}
    example = {"query": next(iter(OPERATIONS)), "variables": {"customerId": "12346", "customerType": "prospect"}}
    return {
        "post": {
            "tags": ["customers"],
            "operationId": "runGraphql",
            "summary": "Read or rename a customer by GraphQL",
            "description": _DESCRIPTION,
            "security": [{"graphqlToken": []}],
            "parameters": [REQUEST_ID],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/GraphqlRequest"},
                        "examples": {"stored": {"value": example}},
                    }
                },
            },
            "responses": {
                "200": _answer("The result of the query, or `errors` if it is not valid.", *RATE),
                "400": _answer("The body is not JSON, or it has no `query`.", *RATE),
                "401": _answer("The token is missing or not valid.", "WWW-Authenticate"),
                "403": _answer("The token lacks a scope.", *RATE),
                "405": answer("Another method than POST was used.", method),
                "408": _answer("The request did not arrive in time.", *RATE),
                "413": _answer("The body is too large.", *RATE),
                "429": _answer("The rate limit of the token is used up.", "Retry-After", *RATE),
                "431": answer("The headers are too large.", {}),
                "500": answer("A bug. It was logged with the id of the request.", {}, *RATE),
                "503": _answer("Storage fails.", "Retry-After"),
            },
        }
    }


def _answer(description: str, *names: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/GraphqlAnswer"}}}
    return {"description": description, "headers": headers(*names), "content": content}
