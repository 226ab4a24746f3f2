"""JSON bodies as pydantic models. All errors of headers and body are reported at once."""

import hashlib
from typing import Any, Generic, TypeVar, cast

import orjson
from fastapi import Depends, Request
from pydantic import ValidationError

from shopbell.errors import Invalid
from shopbell.http.request.app_services import Services
from shopbell.http.request.body import read_body
from shopbell.http.request.field_errors import field_errors
from shopbell.http.request.fields import Fields
from shopbell.http.request.json_headers import read_json_headers
from shopbell.http.request.json_object import parse_object

F = TypeVar("F", bound=Fields)


class Body(Generic[F]):
    """A valid body, and the idempotency key of its request."""

    def __init__(self, fields: F, idempotency_key: str | None) -> None:
        self.fields = fields
        self.idempotency_key = idempotency_key

    def hash(self) -> str:
        """SHA-256 of the fields as 64 hexadecimal digits, to recognize a repetition."""
        return hashlib.sha256(orjson.dumps(self.fields.model_dump(mode="json"))).hexdigest()


def json_body(model: type[F]) -> Any:
    """Return a dependency that reads the body as ``Body[model]``. It must come after the one that checks permissions.

    Raises:
        Invalid: 400, with all errors of headers and body.
        ContentTooLarge: 413.
        RequestTimeout: 408.
    """

    async def read(request: Request) -> Body[F]:
        return await read_json_body(request, model)

    return Depends(read)


async def read_json_body(request: Request, model: type[F]) -> Body[F]:
    """Read the body as ``Body[model]``. It raises the same errors as ``json_body``."""
    headers = read_json_headers(request.scope["headers"])
    settings = cast("Services", request.app.state.services).settings
    content = await read_body(request.receive, request.scope, settings.body_limit_bytes)
    errors = headers.errors
    fields: F | None = None
    if headers.readable:
        document, malformed = parse_object(content)
        if malformed is not None:
            errors.append(malformed)
        else:
            try:
                fields = model.model_validate(document, context=settings)  # some rules depend on the settings
            except ValidationError as error:
                errors += field_errors(error.errors(include_url=False))
            errors += model.cross_field_errors(document)
    if fields is None or errors:
        raise Invalid(errors)
    return Body(fields, headers.idempotency_key)


def body_schema(model: type[Fields], *, idempotent: bool = False) -> dict[str, Any]:
    """Return ``openapi_extra`` of a route with this body.

    Args:
        model: the model of the body.
        idempotent: whether the route supports ``Idempotency-Key``.
    """
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    cross_field = [(error.path, error.code, error.detail) for error in model.cross_field_errors({})]
    return {"requestBody": body, "x-idempotent": idempotent, "x-cross-field-errors": cross_field}
