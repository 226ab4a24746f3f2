"""Convert JSON to dataclasses.

The field ``thread_id`` is read from ``threadId``, or from the name given to :func:`json_field`.
"""

import dataclasses
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from shopbell_client.errors import UnexpectedResponse

T = TypeVar("T")


def json_field(json_name: str, **options: Any) -> Any:
    """Declare a field whose JSON name is not its own name in camel case.

    ``options`` are those of ``dataclasses.field``.
    """
    return dataclasses.field(metadata={"json": json_name}, **options)


def read(type_: type[T], value: object, at: str = "#") -> T:
    """Convert a JSON value. Unknown members are ignored.

    Args:
        type_: a dataclass, ``tuple[…, ...]``, ``… | None``, ``Mapping``, or a plain type.
        value: as returned by ``json.loads``.
        at: the JSON pointer of the value, for error messages.

    Raises:
        UnexpectedResponse: the value has another type. The message does not contain the value.
    """
    return cast("T", _read(type_, value, at))


def read_list(item_type: type[T], value: object, at: str) -> tuple[T, ...]:
    """Convert a JSON array whose items have one type.

    Raises:
        UnexpectedResponse: the value is not such an array.
    """
    list_type: Any = tuple[item_type, ...]  # type: ignore[valid-type] # built at run time, for _read
    return cast("tuple[T, ...]", _read(list_type, value, at))


def _read(type_: Any, value: object, at: str) -> object:
    if type_ in (Any, object):
        return value
    if get_origin(type_) is UnionType:
        (inner,) = (member for member in get_args(type_) if member is not NoneType)
        return None if value is None else _read(inner, value, at)
    if get_origin(type_) is tuple and isinstance(value, list):
        inner = get_args(type_)[0]
        return tuple(_read(inner, item, f"{at}/{index}") for index, item in enumerate(value))
    if dataclasses.is_dataclass(type_) and isinstance(type_, type) and isinstance(value, Mapping):
        return type_(**{name: _read_field(value, field, at) for name, field in _fields(type_).items()})
    if get_origin(type_) is Mapping and isinstance(value, Mapping):
        return value
    if type_ is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id: a string in API responses, a number in webhook payloads
    if type_ in (str, int, bool) and type(value) is type_:
        return value
    raise UnexpectedResponse(f"Unexpected value in the response at {at}.")


def _read_field(value: Mapping[str, object], field: "_Field", at: str) -> object:
    if field.json_name not in value and field.default is not dataclasses.MISSING:
        return field.default
    return _read(field.type_, value.get(field.json_name), f"{at}/{field.json_name}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    json_name: str
    type_: Any
    default: object


@cache
def _fields(class_: type) -> dict[str, _Field]:
    types = get_type_hints(class_)
    return {
        field.name: _Field(field.metadata.get("json") or _camel_case(field.name), types[field.name], field.default)
        for field in dataclasses.fields(class_)
    }


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
