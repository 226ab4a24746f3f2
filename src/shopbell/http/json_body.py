"""The JSON object of a request's body, and what is wrong where it is none."""

import re
from typing import Any

import orjson

from shopbell.errors import Fault

MAX_DEPTH = 16
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def parse_object(body: bytes) -> tuple[dict[str, Any], Fault | None]:
    """Parse a body as a JSON object (RFC 8259).

    Of a key that stands there twice the last one counts. Numbers that no float can hold, ``NaN``, lone surrogates and
    what is nested deeper than 16 are not JSON here.

    Returns:
        The object and None, or an empty object and the fault ``malformed_json`` with ``line`` and ``column``.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if error.pos == 0 and (position := _invalid_utf8(body)) is not None:
            return {}, _fault("is not UTF-8", *_place(body, position))
        return {}, _fault("is not valid JSON", error.lineno, error.colno)
    if not isinstance(document, dict):
        return {}, _fault("must be a JSON object", 1, 1)
    if _is_deep(document):
        return {}, _fault(f"is nested deeper than {MAX_DEPTH}", *_place(body, _too_deep_at(body)))
    return document, None


def _fault(detail: str, line: int, column: int) -> Fault:
    return Fault(
        "body",
        "#",
        "malformed_json",
        detail,
        f"Body {detail} (line {line}, column {column}).",
        {"line": line, "column": column},
    )


def _is_deep(document: dict[str, Any]) -> bool:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _too_deep_at(body: bytes) -> int:
    depth = 0
    for match in _BRACKETS.finditer(body):
        if match[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return match.start()
        elif match[0] in b"]}":
            depth -= 1
    return 0


def _invalid_utf8(body: bytes) -> int | None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _place(body: bytes, position: int) -> tuple[int, int]:
    line_start = body.rfind(b"\n", 0, position) + 1
    return body.count(b"\n", 0, position) + 1, position - line_start + 1
