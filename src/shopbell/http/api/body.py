"""A JSON body as a model, with every fault of headers and body at once."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from fastapi import Depends, Request
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shopbell.errors import Fault, Invalid
from shopbell.http.api.access import Api
from shopbell.http.api.fields import Fields
from shopbell.http.body import read_body
from shopbell.http.json_body import parse_object
from shopbell.http.json_headers import read_json_headers

F = TypeVar("F", bound=Fields)

_EXPECTED = {
    "string_type": "string",
    "bool_type": "boolean",
    "int_type": "integer",
    "float_type": "number",
    "list_type": "array",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}


_PARSED = {"int": "an integer", "bool": "true or false", "float": "a number"}
"""What the text of a query parameter must be, by the first word of pydantic's error."""


class Body(Generic[F]):
    """What a request says.

    Args:
        fields: its body, checked.
        idempotency_key: the client's own key of the request.
    """

    def __init__(self, fields: F, idempotency_key: str | None) -> None:
        self.fields = fields
        self.idempotency_key = idempotency_key


def takes(model: type[F]) -> Any:
    """The dependency that reads the body as ``Body[model]``. It must come after the caller, who may have no right to.

    Raises:
        Invalid: 400, with all faults of headers and body.
        ContentTooLarge: 413.
        RequestTimeout: 408.
    """

    async def read(request: Request) -> Body[F]:
        return await read_fields(request, model)

    return Depends(read)


async def read_fields(request: Request, model: type[F]) -> Body[F]:
    """Read the body as ``Body[model]``; raises as ``takes`` says."""
    headers = read_json_headers(request.scope["headers"])
    settings = cast("Api", request.app.state.api).settings
    content = await read_body(request.receive, request.scope, settings.body_limit_bytes)
    faults = headers.faults
    fields: F | None = None
    if headers.readable:
        document, fault = parse_object(content)
        if fault is not None:
            faults.append(fault)
        else:
            try:
                fields = model.model_validate(document, context=settings)  # some rules are the operator's
            except ValidationError as error:
                faults += faults_of(error.errors(include_url=False))
            faults += model.faults_beside(document)
    if fields is None or faults:
        raise Invalid(faults)
    return Body(fields, headers.idempotency_key)


def described(model: type[Fields], *, idempotent: bool = False) -> dict[str, Any]:
    """``openapi_extra`` of a route that takes this body.

    Args:
        model: the body; its fields' examples are the reference's.
        idempotent: whether the route heeds ``Idempotency-Key``.
    """
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    beside = [(fault.name, fault.code, fault.detail) for fault in model.faults_beside({})]
    return {"requestBody": body, "x-idempotent": idempotent, "x-faults-beside": beside}


def faults_of(errors: Sequence[ErrorDetails], *, of_body: bool = True) -> list[Fault]:
    """What pydantic found, in the codes of the reference; no submitted value is in them.

    Args:
        errors: of pydantic.
        of_body: whether their places begin in the body; if not, their first part is ``query``, ``path``, ``header`` or
            ``body``, as FastAPI gives it.
    """
    return [_fault(error, of_body=of_body) for error in errors]


def _fault(error: ErrorDetails, *, of_body: bool) -> Fault:
    place = [str(part) for part in error["loc"]]
    where: Any = "body"
    if not of_body:
        where, *place = place
    name = "#" + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)
    if where != "body":
        name = ".".join(place)
    context: dict[str, Any] = dict(error.get("ctx", {}))
    kind = error["type"]
    if kind == "missing" or error.get("input", "") is None:
        return Fault(where, name, "required", "is required")
    if kind == "fault":
        code, detail = context.pop("fault_code"), context.pop("detail")
        return Fault(where, name, code, detail, members=context)
    if kind in _EXPECTED:
        expected = _EXPECTED[kind]
        article = "an" if expected[0] in "aio" else "a"
        return Fault(where, name, "type", f"must be {article} {expected}", members={"expected": expected})
    return _of_value(kind, context, where, name)


def _of_value(kind: str, context: dict[str, Any], where: Any, name: str) -> Fault:
    if kind in ("string_too_long", "too_long"):
        limit = context["max_length"]
        things = "characters" if kind == "string_too_long" else "entries"
        return Fault(where, name, "too_long", f"must have at most {limit} {things}", members={"maxLength": limit})
    if kind in ("string_too_short", "too_short"):
        return Fault(where, name, "blank", "must not be empty")
    if kind == "literal_error":
        allowed = [part.strip("'") for part in context["expected"].replace(" or ", ", ").split(", ")]
        return Fault(where, name, "invalid_value", f"must be one of {', '.join(allowed)}", members={"allowed": allowed})
    bounds = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
    if kind in bounds:
        words = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}[bounds[kind]]
        return Fault(where, name, "invalid_value", f"must be {words} {context[bounds[kind]]}")
    parsed = _PARSED.get(kind.partition("_")[0]) if where == "query" else None
    return Fault(where, name, "invalid_format", f"must be {parsed}" if parsed else "has not the form that it must have")
