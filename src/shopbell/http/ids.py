"""Ids in requests: decimal strings or integers, because clients echo ids that they got as numbers."""

import re

from shopbell.errors import Fault

MAX_ID = 2**53 - 1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")


def read_id(value: object, pointer: str) -> tuple[int, Fault | None]:
    """Read an id field that is there.

    Args:
        value: the field's value as JSON gave it.
        pointer: the field's place, as in ``#/businessId``.

    Returns:
        The id and None, or 0 and the fault.
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number: 12345.0 is 12345
    if isinstance(value, bool) or not isinstance(value, str | int):
        expected = "string or integer"
        return 0, Fault("body", pointer, "type", f"must be a {expected}", members={"expected": expected})
    if isinstance(value, str) or not 0 <= value <= MAX_ID:
        return 0, Fault("body", pointer, "invalid_format", "must be an id: a whole number below 2^53")
    return value, None
