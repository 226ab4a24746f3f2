"""Errors of pydantic as ``FieldError``."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from shopbell.errors import FieldError

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
"""What a query parameter must be, by the first word of pydantic's error type."""


def field_errors(errors: Sequence[ErrorDetails], *, of_body: bool = True) -> list[FieldError]:
    """Convert errors of pydantic to the codes of the API reference, without the submitted values.

    Args:
        errors: the errors of pydantic.
        of_body: whether each location begins in the body. If not, it begins with ``query``, ``path``, ``header`` or
            ``body``, as FastAPI reports it.
    """
    return [_field_error(error, of_body=of_body) for error in errors]


def _field_error(error: ErrorDetails, *, of_body: bool) -> FieldError:
    place = [str(part) for part in error["loc"]]
    where: Any = "body"
    if not of_body:
        where, *place = place
    name = ".".join(place)
    if where == "body":
        name = "/".join(part.replace("~", "~0").replace("/", "~1") for part in place)
    context: dict[str, Any] = dict(error.get("ctx", {}))
    kind = error["type"]
    if kind == "missing" or error.get("input", "") is None:
        return FieldError(name, "required", "is required", source=where)
    if kind == "field_error":
        code, detail = context.pop("field_code"), context.pop("detail")
        return FieldError(name, code, detail, members=context, source=where)
    if kind in _EXPECTED:
        expected = _EXPECTED[kind]
        article = "an" if expected[0] in "aio" else "a"
        return FieldError(name, "type", f"must be {article} {expected}", members={"expected": expected}, source=where)
    return _of_value(kind, context, where, name)


def _of_value(kind: str, context: dict[str, Any], where: Any, name: str) -> FieldError:
    if kind in ("string_too_long", "too_long"):
        limit = context["max_length"]
        things = "characters" if kind == "string_too_long" else "entries"
        return FieldError(
            name, "too_long", f"must have at most {limit} {things}", members={"maxLength": limit}, source=where
        )
    if kind in ("string_too_short", "too_short"):
        return FieldError(name, "blank", "must not be empty", source=where)
    if kind == "literal_error":
        allowed = [part.strip("'") for part in context["expected"].replace(" or ", ", ").split(", ")]
        return FieldError(
            name, "invalid_value", f"must be one of {', '.join(allowed)}", members={"allowed": allowed}, source=where
        )
    bounds = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
    if kind in bounds:
        words = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}[bounds[kind]]
        return FieldError(name, "invalid_value", f"must be {words} {context[bounds[kind]]}", source=where)
    parsed = _PARSED.get(kind.partition("_")[0]) if where == "query" else None
    return FieldError(
        name, "invalid_format", f"must be {parsed}" if parsed else "must have the documented format", source=where
    )
