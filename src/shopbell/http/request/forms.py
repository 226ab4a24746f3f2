"""Forms without a file, as the pages of this server send them."""

from urllib.parse import parse_qs

from fastapi import Request

from shopbell.errors import FieldError, Invalid
from shopbell.http.request.body import read_body

_FORM_MAX_BYTES = 4_096
FIELDS_MAX = 10
"""The most fields of a form. Our pages send at most three."""


async def read_form(request: Request, limit_bytes: int = _FORM_MAX_BYTES) -> dict[str, str]:
    """Read the fields of a form without a file.

    Raises:
        RequestError: 400 (too many fields), 408, 413.
    """
    content = await read_body(request.receive, request.scope, limit_bytes)
    try:
        fields = parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        detail = f"must be a form with at most {FIELDS_MAX} fields"
        raise Invalid([FieldError("", "too_long", detail, members={"maxLength": FIELDS_MAX})]) from None
    return {name: values[0] for name, values in fields.items()}
