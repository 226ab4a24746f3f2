"""The GraphQL route in the API reference, by hand: its body and its errors have the shape of GraphQL."""

from typing import Any

from shopbell.errors import MethodNotAllowed
from shopbell.http.api.graphql import OPERATIONS, QUERY_MAX_CHARACTERS
from shopbell.http.reference_answers import RATE, answer, headers
from shopbell.http.reference_widget import REQUEST_ID

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
mutation `customers:write` too. `docs/graphql.md` has the schema, the limits and the errors.
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
            "properties": {"code": {"type": "string", "description": "The name of a problem; stable."}},
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
                "description": "Those of the stored operations; a document may have others.",
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
    """The description of the route."""
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
                "200": _answer("What came of the query, with `errors` where it is not valid.", *RATE),
                "400": _answer("The body is not JSON, or it has no `query`.", *RATE),
                "401": _answer("The token is missing, or not valid.", "WWW-Authenticate"),
                "403": _answer("The token lacks a scope.", *RATE),
                "405": answer("Another method than POST was used.", method),
                "408": _answer("The request did not arrive in time.", *RATE),
                "413": _answer("The body is too large.", *RATE),
                "429": _answer("The token has used up its rate.", "Retry-After", *RATE),
                "431": answer("The headers are too large.", {}),
                "500": answer("A bug; it was logged with the id of the request.", {}, *RATE),
                "503": _answer("Storage fails.", "Retry-After"),
            },
        }
    }


def _answer(description: str, *names: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/GraphqlAnswer"}}}
    return {"description": description, "headers": headers(*names), "content": content}
