"""Parse the body of a request as a JSON object."""

import re
from typing import Any

import orjson

from shopbell.errors import FieldError

MAX_DEPTH = 16
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def parse_object(body: bytes) -> tuple[dict[str, Any], FieldError | None]:
    """Parse a body as a JSON object (RFC 8259).

    If a key appears twice, the last one counts. Numbers beyond the range of a float, ``NaN``, lone surrogates and
    nesting deeper than 16 are refused.

    Returns:
        The object and None, or an empty object and the error ``malformed_json`` with ``line`` and ``column``.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if error.pos == 0 and (position := _invalid_utf8(body)) is not None:
            return {}, _malformed("is not UTF-8", *_place(body, position))
        return {}, _malformed("is not valid JSON", error.lineno, error.colno)
    if not isinstance(document, dict):
        return {}, _malformed("must be a JSON object", 1, 1)
    # Most bodies have too few brackets to be deep, and counting is faster than looking at the levels.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deep(document):
        return {}, _malformed(f"is nested deeper than {MAX_DEPTH}", *_place(body, _too_deep_at(body)))
    return document, None


def _malformed(detail: str, line: int, column: int) -> FieldError:
    return FieldError(
        "",
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
