"""The headers of a request with a JSON body."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from shopbell.errors import FieldError

IDEMPOTENCY_KEY_MAX_CHARACTERS = 255

_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE)
_USUAL = b"application/json"
_VISIBLE_ASCII = re.compile(rb"[\x21-\x7e]+")

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class JsonHeaders:
    """What the headers say.

    Args:
        idempotency_key: the key that makes the request repeatable.
        readable: whether the body can be read. A compressed body cannot.
        errors: the errors of the headers.
    """

    idempotency_key: str | None = None
    readable: bool = True
    errors: list[FieldError] = field(default_factory=list)


def read_json_headers(headers: Headers) -> JsonHeaders:
    """Read and check the headers, whose names are in lower case."""
    read = JsonHeaders()
    types, keys, codings = [], [], []
    for name, value in headers:
        if name == b"content-type":
            types.append(value)
        elif name == b"idempotency-key":
            keys.append(value)
        elif name == b"content-encoding":
            codings.append(value.lower())
    if types != [_USUAL] and (len(types) != 1 or not _JSON.fullmatch(types[0])):
        read.errors.append(
            FieldError("content-type", "unsupported_media_type", "must be application/json", source="header")
        )
    if keys:
        _read_idempotency_key(read, keys)
    if any(coding != b"identity" for coding in codings):
        read.errors.append(
            FieldError(
                "content-encoding", "unsupported_content_encoding", "must be absent or identity", source="header"
            )
        )
        read.readable = False
    return read


def _read_idempotency_key(read: JsonHeaders, keys: list[bytes]) -> None:
    name = "idempotency-key"
    if len(keys) != 1 or not keys[0]:
        read.errors.append(
            FieldError(name, "invalid_format", "must be sent once and must not be empty", source="header")
        )
        return
    read.idempotency_key = keys[0].decode("latin-1")
    if len(keys[0]) > IDEMPOTENCY_KEY_MAX_CHARACTERS:
        limit = IDEMPOTENCY_KEY_MAX_CHARACTERS
        read.errors.append(
            FieldError(
                name, "too_long", f"must have at most {limit} characters", members={"maxLength": limit}, source="header"
            )
        )
    if not _VISIBLE_ASCII.fullmatch(keys[0]):
        read.errors.append(
            FieldError(name, "invalid_character", "must consist of visible ASCII characters", source="header")
        )
