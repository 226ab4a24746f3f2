"""``POST /graphql``: read and rename a customer, for clients of other vendors' APIs.

The body has the fields of GraphQL over HTTP: ``query``, ``variables``, ``operationName``. ``query`` is a GraphQL
document or the name of one of ``OPERATIONS``. Errors before GraphQL (token, rate, scope, size, JSON) have the same
status as on other routes. All other errors are 200 with ``errors``. No error repeats a submitted value: the messages of
graphql-core do, so each rule has its own message in ``graphql_queries.py``.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import Field

from shopbell.errors import RequestError, StorageError
from shopbell.http.request.caller import caller_of
from shopbell.http.request.errors import Unauthorized
from shopbell.http.request.fields import Fields
from shopbell.http.request.json_body import read_json_body
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.problems import headers_of
from shopbell.http.server.errors import TemporarilyUnavailable

READ_SCOPE, WRITE_SCOPE = "customers:read", "customers:write"
"""A mutation needs both, because its response is the profile."""
QUERY_MAX_CHARACTERS = 5_000

_PROFILE = """\
    id type editable pictureHref displayName emailAddress phoneNumber firstName lastName company channel
    customerData { name value }
    lastSurveys { nps { createdAt text } preferredChannel { createdAt text } }
"""
OPERATIONS = {
    "get-customer-profile-query": f"""\
query ($customerId: ID!, $customerType: String = "prospect") {{
  customer(customerId: $customerId, customerType: $customerType) {{
{_PROFILE}  }}
}}""",
    "update-customer-profile-name-mutation": f"""\
mutation ($customerId: ID!, $firstName: String!, $lastName: String!, $company: String) {{
  customer: updateCustomerProfileName(
    customerId: $customerId, firstName: $firstName, lastName: $lastName, company: $company
  ) {{
{_PROFILE}  }}
}}""",
}
"""Documents that a client may name instead of sending them, by name."""

router = APIRouter(include_in_schema=False)  # described in openapi/graphql.py


class GraphqlRequest(Fields):
    """A query with its variables, or the name of a stored operation."""

    query: str = Field(max_length=QUERY_MAX_CHARACTERS)
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


@router.post("/graphql")
async def run_graphql(request: Request) -> Response:
    """Run a query or a mutation."""
    tokens = [(b"token", value) for name, value in request.scope["headers"] if name == b"authentication-token"]
    try:
        caller = await caller_of(request, tokens, READ_SCOPE, some=True)
        body = await read_json_body(request, GraphqlRequest)
        from shopbell.http.api.graphql_queries import run  # few installations need it, and it takes 5 MB

        return _answer(200, await run(caller, body.fields))
    except StorageError:
        return _refusal(TemporarilyUnavailable())
    except Unauthorized as error:
        reason = "not a valid API token" if tokens else "missing"
        return _refusal(error, f"Header 'Authentication-Token' is {reason}")
    except RequestError as error:
        return _refusal(error)


def _refusal(error: RequestError, message: str | None = None) -> Response:
    """Respond to an error with its status and headers, in the shape of GraphQL."""
    kind = problem_type(error)
    entry = {"message": message or error.developer_message, "extensions": {"code": kind.name}}
    return _answer(kind.status, {"errors": [entry]}, headers_of(error))


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
