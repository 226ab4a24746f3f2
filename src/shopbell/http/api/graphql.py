"""``POST /graphql``: read and rename a customer, for clients of other vendors' APIs.

The body is that of GraphQL over HTTP: ``query``, ``variables``, ``operationName``. ``query`` is a GraphQL document, or
the name of one of ``OPERATIONS``. What is wrong before GraphQL begins (token, rate, scope, size, JSON) has the status
of the other routes. All else is 200 with ``errors``. No error repeats what was sent: graphql-core's texts do, so each
rule has a text here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import orjson
from fastapi import APIRouter, Request, Response
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSyntaxError,
    InlineFragmentNode,
    Lexer,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    Source,
    TokenKind,
    VariableDefinitionNode,
    build_schema,
    execute,
    get_operation_ast,
    get_variable_values,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import ASTValidationRule, ValidationContext
from pydantic import Field, ValidationError

from shopbell import customers
from shopbell.errors import Invalid, NotFound, Problem, StorageError, TemporarilyUnavailable, Unauthorized
from shopbell.http.api.access import Caller, caller_of
from shopbell.http.api.body import faults_of, read_fields
from shopbell.http.api.customers import UpdateProfile, read_profile
from shopbell.http.api.fields import Fields
from shopbell.http.authentication import require_scope
from shopbell.http.ids import read_id

READ_SCOPE, WRITE_SCOPE = "customers:read", "customers:write"
"""A mutation needs both: its answer is the profile."""
QUERY_MAX_CHARACTERS = 5_000
TOKENS_MAX = 300
DEPTH_MAX = 10
"""Brackets within brackets."""

SDL = '''\
type Query {
  customer(customerId: ID!, customerType: String = "prospect"): Customer
}

type Mutation {
  updateCustomerProfileName(customerId: ID!, firstName: String!, lastName: String!, company: String): Customer
}

type Customer {
  id: ID!
  type: String!
  editable: Boolean!
  pictureHref: String
  displayName: String!
  emailAddress: String
  phoneNumber: String
  firstName: String
  lastName: String
  company: String
  channel: String!
  customerData: [CustomerDatum!]!
  lastSurveys: LastSurveys!
}

type CustomerDatum {
  name: String!
  value: String!
}

type LastSurveys {
  nps: SurveyAnswer
  preferredChannel: SurveyAnswer
}

type SurveyAnswer {
  createdAt: Timestamp!
  text: String!
}

"""Unix milliseconds; an Int of GraphQL has 32 bits."""
scalar Timestamp
'''
SCHEMA = build_schema(SDL)

_PROFILE = """\
    id type editable pictureHref displayName emailAddress phoneNumber firstName lastName company channel
    customerData { name value }
    lastSurveys { nps { createdAt text } preferredChannel { createdAt text } }
"""
OPERATIONS: Mapping[str, DocumentNode] = {
    "get-customer-profile-query": parse(
        f"""query ($customerId: ID!, $customerType: String = "prospect") {{
  customer(customerId: $customerId, customerType: $customerType) {{
{_PROFILE}  }}
}}"""
    ),
    "update-customer-profile-name-mutation": parse(
        f"""mutation ($customerId: ID!, $firstName: String!, $lastName: String!, $company: String) {{
  customer: updateCustomerProfileName(
    customerId: $customerId, firstName: $firstName, lastName: $lastName, company: $company
  ) {{
{_PROFILE}  }}
}}"""
    ),
}
"""The documents that a client may name instead of sending one."""

_TEXTS = {
    "FieldsOnCorrectTypeRule": "The type has no such field",
    "KnownArgumentNamesRule": "The field has no such argument",
    "ProvidedRequiredArgumentsRule": "A required argument is missing",
    "ScalarLeafsRule": "An object needs a selection of its fields, and any other value must have none",
    "ValuesOfCorrectTypeRule": "The value has the wrong type",
    "VariablesInAllowedPositionRule": "The variable's type does not fit the argument",
    "NoUndefinedVariablesRule": "The operation does not declare this variable",
    "NoUnusedVariablesRule": "The operation does not use this variable",
    "OverlappingFieldsCanBeMergedRule": "Two fields with the same name in the answer differ",
    "NoSchemaIntrospectionCustomRule": "Introspection is off",
}

_OPENING = (TokenKind.BRACE_L, TokenKind.PAREN_L, TokenKind.BRACKET_L)
_CLOSING = (TokenKind.BRACE_R, TokenKind.PAREN_R, TokenKind.BRACKET_R)


class _Noting:
    """A rule's context. It notes the rule in each error, since graphql-core names none."""

    def __init__(self, context: ValidationContext, rule: str) -> None:
        self._context = context
        self._rule = rule

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def report_error(self, error: GraphQLError) -> None:
        error.extensions = {"rule": self._rule}
        self._context.report_error(error)


def _named(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    def begin(self: Any, context: Any) -> None:
        rule.__init__(self, cast("Any", _Noting(context, rule.__name__)))

    return type(rule.__name__, (rule,), {"__init__": begin})


_RULES = [_named(rule) for rule in (*specified_rules, NoSchemaIntrospectionCustomRule)]

router = APIRouter(include_in_schema=False)  # reference_graphql.py describes it


class _Wrong(Exception):
    """What is wrong with a query, as ``errors`` of a 200."""

    def __init__(self, *errors: Mapping[str, Any]) -> None:
        super().__init__()
        self.errors = errors


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
        caller = await caller_of(request, tokens, READ_SCOPE)
        body = await read_fields(request, GraphqlRequest)
        return _answer(200, await _run(caller, body.fields))
    except _Wrong as error:
        return _answer(200, {"errors": error.errors})
    except StorageError:
        return _refusal(TemporarilyUnavailable())
    except Unauthorized as problem:
        wrong = "not a valid API token" if tokens else "missing"
        return _refusal(problem, f"Header 'Authentication-Token' is {wrong}")
    except Problem as problem:
        return _refusal(problem)


async def _run(caller: Caller, asked: GraphqlRequest) -> dict[str, Any]:
    document = OPERATIONS.get(asked.query)
    is_stored = document is not None
    if document is None:
        document = _checked(asked.query)
    name = None if is_stored else asked.operation_name
    operation = get_operation_ast(document, name)
    if operation is None:
        raise _Wrong(_error("'operationName' must name one of the query's operations"))
    if len(_root_names(document, operation)) > 1:
        raise _Wrong(_error("A request may read or change one customer; send one request for each", operation))
    if operation.operation == OperationType.MUTATION:
        require_scope(caller.token, WRITE_SCOPE)
    variables = asked.variables or {}
    coerced = get_variable_values(SCHEMA, operation.variable_definitions or (), variables, max_errors=20)
    if isinstance(coerced, list):
        raise _Wrong(*(_of_variable(error, is_stored=is_stored) for error in coerced))
    root = {"customer": _reader(caller), "updateCustomerProfileName": _writer(caller)}
    running = execute(SCHEMA, document, root, variable_values=variables, operation_name=name)
    result = await running if isinstance(running, Awaitable) else running
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_of_execution(error) for error in result.errors]
    return answer


def _checked(query: str) -> DocumentNode:
    """Parse a query, within the limits, and hold it to the schema.

    Raises:
        _Wrong: it is not valid.
    """
    try:
        _measure(query)
        document = parse(query)
    except GraphQLSyntaxError as error:
        raise _Wrong(_error("The query is neither GraphQL nor the name of a stored operation", error)) from None
    errors = validate(SCHEMA, document, _RULES, max_errors=20)
    if errors:
        raise _Wrong(*map(_of_validation, errors))
    return document


def _measure(query: str) -> None:
    """Count tokens and brackets without recursion.

    Raises:
        GraphQLSyntaxError: something in the query is not a token.
        _Wrong: it has too many, or too deep brackets.
    """
    lexer, depth = Lexer(Source(query)), 0
    for _ in range(TOKENS_MAX):
        kind = lexer.advance().kind
        if kind == TokenKind.EOF:
            return
        depth += (kind in _OPENING) - (kind in _CLOSING)
        if depth > DEPTH_MAX:
            raise _Wrong(_error(f"The query must not be nested deeper than {DEPTH_MAX}"))
    raise _Wrong(_error(f"The query must have at most {TOKENS_MAX} tokens"))


def _root_names(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """The names in the answer of the root fields that read or change something."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    names, waiting = set(), [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                if selection.name.value != "__typename":
                    names.add((selection.alias or selection.name).value)
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                # Taken out: a fragment that is spread often is read once.
                fragment = fragments.pop(selection.name.value, None)
                if fragment is not None:
                    waiting.append(fragment.selection_set)
    return names


def _reader(caller: Caller) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def read(_: object, **given: Any) -> dict[str, Any]:
        return await _profile(caller, _customer_id(given))

    return read


def _writer(caller: Caller) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def write(_: object, **given: Any) -> dict[str, Any]:
        customer_id = _customer_id(given)
        try:
            fields = UpdateProfile.model_validate(
                {name: given.get(name) for name in ("firstName", "lastName", "company")}
            )
        except ValidationError as error:
            raise Invalid(faults_of(error.errors(include_url=False))) from None
        await caller.write(customers.update_profile, customer_id, fields.given())
        return await _profile(caller, customer_id)

    return write


def _customer_id(given: Mapping[str, Any]) -> int:
    """The customer that the arguments name; all customers are of type ``prospect``.

    Raises:
        NotFound: 404; it cannot be an id.
    """
    number, fault = read_id(given["customerId"], "#/customerId")
    if fault is not None or given.get("customerType") not in (None, "prospect"):
        raise NotFound
    return number


async def _profile(caller: Caller, customer_id: int) -> dict[str, Any]:
    return (await read_profile(caller, customer_id)).model_dump(by_alias=True)


def _error(message: str, source: Any = None, code: str = Invalid.name, **members: Any) -> dict[str, Any]:
    """An entry of ``errors``.

    Args:
        message: for developers.
        source: the error of graphql-core, or the part of the query, whose place is told.
        code: the name of a problem; stable.
        members: what else the entry has.
    """
    error = source if isinstance(source, GraphQLError) else GraphQLError(message, source)
    places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
    return {"message": message, **({"locations": places} if places else {}), **members, "extensions": {"code": code}}


def _of_validation(error: GraphQLError) -> dict[str, Any]:
    rule = (error.extensions or {}).get("rule", "")
    return _error(_TEXTS.get(rule, "The query does not fit the schema"), error)


def _of_variable(error: GraphQLError, *, is_stored: bool) -> dict[str, Any]:
    """A variable's fault. In a stored operation it has a name of ours, and no place that the client knows."""
    if not is_stored:
        return _error("The variable is missing or has the wrong type", error)
    names = [node.variable.name.value for node in error.nodes or () if isinstance(node, VariableDefinitionNode)]
    return _error(f"Variable '{names[0]}' is missing or has the wrong type" if names else "A variable is wrong")


def _of_execution(error: GraphQLError) -> dict[str, Any]:
    """What came of a field.

    Raises:
        StorageError: 503.
        Exception: a bug.
    """
    cause = error.original_error
    path: dict[str, Any] = {"path": error.path} if error.path else {}
    if isinstance(cause, NotFound):
        return _error("The organization has no such customer", error, NotFound.name, **path)
    if isinstance(cause, Problem):
        return _error(cause.developer_message, error, cause.name, **path)
    if cause is not None:
        raise cause
    return _error("The field cannot be read with these arguments", error, **path)


def _refusal(problem: Problem, message: str | None = None) -> Response:
    """A problem with its status and headers, in the shape of GraphQL."""
    found = _error(message or problem.developer_message, code=problem.name)
    return _answer(problem.status, {"errors": [found]}, problem.headers())


def _answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
