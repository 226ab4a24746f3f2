"""The businesses whose rows a caller may see."""

from typing import Any

from sqlalchemy import ColumnElement, true

Businesses = frozenset[int] | None
"""The ids of some businesses of an organization; None for all of them."""


def is_among(column: ColumnElement[Any], businesses: Businesses) -> ColumnElement[bool]:
    """The condition that a column names one of these businesses."""
    return true() if businesses is None else column.in_(sorted(businesses))
