"""Ids in requests: decimal strings or integers, because some clients send the numbers that they once got."""

import re

from shopbell.errors import FieldError

MAX_ID = 2**53 - 1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")


def read_id(value: object, path: str) -> tuple[int, FieldError | None]:
    """Read the value of an id field.

    Args:
        value: the value, as JSON gave it.
        path: the path of the field, as in ``FieldError``.

    Returns:
        The id and None, or 0 and the error.
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one type of number: 12345.0 is 12345
    if isinstance(value, bool) or not isinstance(value, str | int):
        expected = "string or integer"
        return 0, FieldError(path, "type", f"must be a {expected}", members={"expected": expected})
    if isinstance(value, str) or not 0 <= value <= MAX_ID:
        return 0, FieldError(path, "invalid_format", "must be an id: a whole number below 2^53")
    return value, None
