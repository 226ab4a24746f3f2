"""Pages of lists: ``limit`` and an opaque ``cursor`` that stays right while rows are added."""

import base64
import binascii
import json
from typing import Annotated

from fastapi import Query

from shopbell.errors import Fault, Invalid

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Most entries of one page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=500, description="`nextCursor` of the page before; the first page unless given."),
]


def cursor_of(*place: int | str) -> str:
    """The cursor that stands after a row.

    Args:
        place: what the list is sorted by, of the page's last row.
    """
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str | None, *kinds: type[int] | type[str]) -> tuple[int | str, ...] | None:
    """Where a page begins: the place after which, or None for the list's beginning.

    Args:
        cursor: as the client sent it back.
        kinds: what ``cursor_of`` was given.

    Raises:
        Invalid: 400, it is none of ours.
    """
    if cursor is None:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        place = None
    if (
        not isinstance(place, list)
        or [type(part) for part in place] != list(kinds)
        or any(isinstance(part, int) and not 0 <= part < 2**63 for part in place)
    ):
        raise Invalid([Fault("query", "cursor", "invalid_format", "must be a nextCursor that this list gave")])
    return tuple(place)
