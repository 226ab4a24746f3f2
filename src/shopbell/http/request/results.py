"""The responses of many routes."""

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from fastapi import Response
from pydantic import Field

from shopbell.http.request.fields import Fields


class Ok(Fields):
    """The request was carried out."""

    result: Literal["ok"] = Field("ok", examples=["ok"])


def json_response(document: Mapping[str, Any]) -> Response:
    """Return a document as a response.

    For long lists, a model takes several times as long.
    """
    return Response(orjson.dumps(document), media_type="application/json")
