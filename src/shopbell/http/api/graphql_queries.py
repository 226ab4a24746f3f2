"""Runs the queries of ``POST /graphql``.

Its first request imports this module and graphql-core.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

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
from pydantic import ValidationError

from shopbell.customers import customers
from shopbell.errors import Invalid, NotFound, RequestError
from shopbell.http.api.customers import UpdateProfile, read_profile
from shopbell.http.api.graphql import OPERATIONS, WRITE_SCOPE, GraphqlRequest
from shopbell.http.request.caller import Caller
from shopbell.http.request.field_errors import field_errors
from shopbell.http.request.ids import read_id
from shopbell.http.request.problem_types import problem_type

TOKENS_MAX = 300
DEPTH_MAX = 10
"""The deepest nesting of brackets."""

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
_STORED: Mapping[str, DocumentNode] = {name: parse(text) for name, text in OPERATIONS.items()}

_TEXTS = {
    "FieldsOnCorrectTypeRule": "The type has no such field",
    "KnownArgumentNamesRule": "The field has no such argument",
    "ProvidedRequiredArgumentsRule": "A required argument is missing",
    "ScalarLeafsRule": "An object needs a selection of its fields, and any other value must have none",
    "ValuesOfCorrectTypeRule": "The value has the wrong type",
    "VariablesInAllowedPositionRule": "The variable's type does not fit the argument",
    "NoUndefinedVariablesRule": "The operation does not declare this variable",
    "NoUnusedVariablesRule": "The operation does not use this variable",
    "OverlappingFieldsCanBeMergedRule": "Two fields with the same name in the response differ",
    "NoSchemaIntrospectionCustomRule": "Introspection is off",
}

_OPENING = (TokenKind.BRACE_L, TokenKind.PAREN_L, TokenKind.BRACKET_L)
_CLOSING = (TokenKind.BRACE_R, TokenKind.PAREN_R, TokenKind.BRACKET_R)


class _RuleContext:
    """The context of a rule.

    It adds the rule to each error, because graphql-core does not.
    """

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
        rule.__init__(self, cast("Any", _RuleContext(context, rule.__name__)))

    return type(rule.__name__, (rule,), {"__init__": begin})


_RULES = [_named(rule) for rule in (*specified_rules, NoSchemaIntrospectionCustomRule)]


class _InvalidQuery(Exception):
    """A query is not valid: the ``errors`` of a 200."""

    def __init__(self, *errors: Mapping[str, Any]) -> None:
        super().__init__()
        self.errors = errors


async def run(caller: Caller, asked: GraphqlRequest) -> dict[str, Any]:
    """Run a query or a mutation, and return the body of the response.

    The body may consist of errors.

    Raises:
        RequestError: the token does not have the scope.
        StorageError: 503.
    """
    try:
        return await _run(caller, asked)
    except _InvalidQuery as error:
        return {"errors": error.errors}


async def _run(caller: Caller, asked: GraphqlRequest) -> dict[str, Any]:
    document = _STORED.get(asked.query)
    is_stored = document is not None
    if document is None:
        document = _checked(asked.query)
    name = None if is_stored else asked.operation_name
    operation = get_operation_ast(document, name)
    if operation is None:
        raise _InvalidQuery(_error("'operationName' must name one of the query's operations"))
    if len(_root_names(document, operation)) > 1:
        raise _InvalidQuery(_error("A request may read or change one customer; send one request for each", operation))
    if operation.operation == OperationType.MUTATION:
        caller = caller.limited_to(WRITE_SCOPE)
    variables = asked.variables or {}
    coerced = get_variable_values(SCHEMA, operation.variable_definitions or (), variables, max_errors=20)
    if isinstance(coerced, list):
        raise _InvalidQuery(*(_of_variable(error, is_stored=is_stored) for error in coerced))
    root = {"customer": _reader(caller), "updateCustomerProfileName": _writer(caller)}
    running = execute(SCHEMA, document, root, variable_values=variables, operation_name=name)
    result = await running if isinstance(running, Awaitable) else running
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_of_execution(error) for error in result.errors]
    return answer


def _checked(query: str) -> DocumentNode:
    """Parse a query within the limits, and validate it.

    Raises:
        _InvalidQuery: the query is not valid.
    """
    try:
        _measure(query)
        document = parse(query)
    except GraphQLSyntaxError as error:
        raise _InvalidQuery(_error("The query is neither GraphQL nor the name of a stored operation", error)) from None
    errors = validate(SCHEMA, document, _RULES, max_errors=20)
    if errors:
        raise _InvalidQuery(*map(_of_validation, errors))
    return document


def _measure(query: str) -> None:
    """Count tokens and brackets without recursion.

    Raises:
        GraphQLSyntaxError: a part of the query is not a token.
        _InvalidQuery: it has too many tokens, or is nested too deeply.
    """
    lexer, depth = Lexer(Source(query)), 0
    for _ in range(TOKENS_MAX):
        kind = lexer.advance().kind
        if kind == TokenKind.EOF:
            return
        depth += (kind in _OPENING) - (kind in _CLOSING)
        if depth > DEPTH_MAX:
            raise _InvalidQuery(_error(f"The query must not be nested deeper than {DEPTH_MAX}"))
    raise _InvalidQuery(_error(f"The query must have at most {TOKENS_MAX} tokens"))


def _root_names(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """Return the response names of the root fields that read or change data."""
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
                # pop: a fragment that is used several times is read once.
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
            raise Invalid(field_errors(error.errors(include_url=False))) from None
        await caller.check_customer(customer_id)
        await caller.write(customers.update_profile, customer_id, fields.given(), actor=caller.actor())
        return await _profile(caller, customer_id)

    return write


def _customer_id(given: Mapping[str, Any]) -> int:
    """Return the customer id in the arguments.

    All customers have the type ``prospect``.

    Raises:
        NotFound: 404; it is not a valid id.
    """
    number, error = read_id(given["customerId"], "customerId")
    if error is not None or given.get("customerType") not in (None, "prospect"):
        raise NotFound
    return number


async def _profile(caller: Caller, customer_id: int) -> dict[str, Any]:
    return (await read_profile(caller, customer_id)).model_dump(by_alias=True)


def _error(message: str, source: Any = None, code: str = problem_type(Invalid).name, **members: Any) -> dict[str, Any]:
    """Return an entry of ``errors``.

    Args:
        message: for developers.
        source: the error of graphql-core, or the part of the query, that has the location.
        code: the name of a problem type.
        members: further members of the entry.
    """
    error = source if isinstance(source, GraphQLError) else GraphQLError(message, source)
    places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
    return {"message": message, **({"locations": places} if places else {}), **members, "extensions": {"code": code}}


def _of_validation(error: GraphQLError) -> dict[str, Any]:
    rule = (error.extensions or {}).get("rule", "")
    return _error(_TEXTS.get(rule, "The query does not match the schema"), error)


def _of_variable(error: GraphQLError, *, is_stored: bool) -> dict[str, Any]:
    """Return the error of a variable.

    The error names the variable of a stored operation, because the client does not know its location.
    """
    if not is_stored:
        return _error("The variable is missing or has the wrong type", error)
    names = [node.variable.name.value for node in error.nodes or () if isinstance(node, VariableDefinitionNode)]
    return _error(f"Variable '{names[0]}' is missing or has the wrong type" if names else "A variable is not valid")


def _of_execution(error: GraphQLError) -> dict[str, Any]:
    """Return the error of a field.

    Raises:
        StorageError: 503.
        Exception: a bug.
    """
    cause = error.original_error
    path: dict[str, Any] = {"path": error.path} if error.path else {}
    if isinstance(cause, NotFound):
        return _error("The organization has no such customer", error, problem_type(NotFound).name, **path)
    if isinstance(cause, RequestError):
        return _error(cause.developer_message, error, problem_type(cause).name, **path)
    if cause is not None:
        raise cause
    return _error("The field cannot be read with these arguments", error, **path)
