"""JSON becomes dataclasses: ``thread_id`` is read from ``threadId``, or from the name that :func:`named` gives."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from shopbell.client.errors import UnexpectedAnswer

T = TypeVar("T")


def named(json_name: str, **settings: Any) -> Any:
    """A field whose name in JSON is not its own in camel case; settings are those of ``dataclasses.field``."""
    return dataclasses.field(metadata={"json": json_name}, **settings)


def read(kind: type[T], value: object, at: str = "#") -> T:
    """Read what the server said; what is not asked for is passed over.

    Args:
        kind: a dataclass, ``tuple[…, ...]``, ``… | None``, ``Mapping``, or a plain type.
        value: of JSON.
        at: where it stands, as a JSON pointer.

    Raises:
        UnexpectedAnswer: it is something else; no value is quoted.
    """
    return cast("T", _read(kind, value, at))


def read_all(kind: type[T], value: object, at: str) -> tuple[T, ...]:
    """Read a list of things of one kind, as ``read`` does.

    Raises:
        UnexpectedAnswer: it is no such list.
    """
    every: Any = tuple[kind, ...]  # type: ignore[valid-type] # a value here, which tells _read what to look for
    return cast("tuple[T, ...]", _read(every, value, at))


def _read(kind: Any, value: object, at: str) -> object:
    if kind in (Any, object):
        return value
    if get_origin(kind) is UnionType:
        (inner,) = (one for one in get_args(kind) if one is not NoneType)
        return None if value is None else _read(inner, value, at)
    if get_origin(kind) is tuple and isinstance(value, list):
        inner = get_args(kind)[0]
        return tuple(_read(inner, one, f"{at}/{place}") for place, one in enumerate(value))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return kind(**{name: _read_field(value, field, at) for name, field in _fields(kind).items()})
    if get_origin(kind) is Mapping and isinstance(value, Mapping):
        return value
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id: strings in answers, numbers in webhooks
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise UnexpectedAnswer(f"The answer is not as expected at {at}.")


def _read_field(value: Mapping[str, object], field: "_Field", at: str) -> object:
    if field.json_name not in value and field.default is not dataclasses.MISSING:
        return field.default
    return _read(field.kind, value.get(field.json_name), f"{at}/{field.json_name}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    json_name: str
    kind: Any
    default: object


@cache
def _fields(kind: type) -> dict[str, _Field]:
    kinds = get_type_hints(kind)
    return {
        field.name: _Field(field.metadata.get("json") or _camel(field.name), kinds[field.name], field.default)
        for field in dataclasses.fields(kind)
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
