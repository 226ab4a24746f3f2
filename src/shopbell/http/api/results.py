"""Answers that many routes share."""

from typing import Literal

from pydantic import Field

from shopbell.http.api.fields import Fields


class Ok(Fields):
    """It is done."""

    result: Literal["ok"] = Field("ok", examples=["ok"])
