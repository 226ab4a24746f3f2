"""Pages of lists: ``limit`` and an opaque ``cursor`` that stays valid while rows are added."""

import base64
import binascii
import json
from typing import Annotated

from fastapi import Query

from shopbell.errors import FieldError, Invalid

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="The most entries of one page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=500, description="`nextCursor` of the previous page. Without it, the first page."),
]


class WrongCursor(Invalid):
    """400: the cursor does not belong to this list."""

    def __init__(self) -> None:
        detail = "must be the nextCursor of an earlier page of this list"
        super().__init__([FieldError("cursor", "invalid_format", detail, source="query")])


def cursor_of(*place: int | str) -> str:
    """Return the cursor after the last row of a page.

    Args:
        place: the sort key of that row.
    """
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str | None, *kinds: type[int] | type[str]) -> tuple[int | str, ...] | None:
    """Return the sort key after which a page begins; None for the first page.

    Args:
        cursor: as the client sent it.
        kinds: the types of the sort key.

    Raises:
        WrongCursor: 400; it is not a cursor of this server.
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
        raise WrongCursor
    return tuple(place)
