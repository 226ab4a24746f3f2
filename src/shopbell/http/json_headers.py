"""The headers of a request with a JSON body, and what is wrong with them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from shopbell.errors import Fault

IDEMPOTENCY_KEY_MAX_CHARACTERS = 255

_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE)
_VISIBLE_ASCII = re.compile(rb"[\x21-\x7e]+")

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class JsonHeaders:
    """What the headers say.

    Args:
        idempotency_key: the client's own key of the request.
        readable: whether the body can be read at all: not when it is compressed.
        faults: what is wrong with them.
    """

    idempotency_key: str | None = None
    readable: bool = True
    faults: list[Fault] = field(default_factory=list)


def read_json_headers(headers: Headers) -> JsonHeaders:
    """Read the headers of a request that has a JSON body.

    Args:
        headers: names in lower case.
    """
    read = JsonHeaders()
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in (b"content-type", b"content-encoding", b"idempotency-key"):
            found.setdefault(name, []).append(value)
    types = found.get(b"content-type", [])
    if len(types) != 1 or not _JSON.fullmatch(types[0]):
        read.faults.append(Fault("header", "content-type", "unsupported_media_type", "must be application/json"))
    if keys := found.get(b"idempotency-key"):
        _read_idempotency_key(read, keys)
    if any(coding.lower() != b"identity" for coding in found.get(b"content-encoding", [])):
        read.faults.append(
            Fault("header", "content-encoding", "unsupported_content_encoding", "must be absent or identity")
        )
        read.readable = False
    return read


def _read_idempotency_key(read: JsonHeaders, keys: list[bytes]) -> None:
    name = "idempotency-key"
    if len(keys) != 1 or not keys[0]:
        read.faults.append(Fault("header", name, "invalid_format", "must be there once, and not empty"))
        return
    read.idempotency_key = keys[0].decode("latin-1")
    if len(keys[0]) > IDEMPOTENCY_KEY_MAX_CHARACTERS:
        limit = IDEMPOTENCY_KEY_MAX_CHARACTERS
        read.faults.append(
            Fault("header", name, "too_long", f"must have at most {limit} characters", members={"maxLength": limit})
        )
    if not _VISIBLE_ASCII.fullmatch(keys[0]):
        read.faults.append(Fault("header", name, "invalid_character", "must consist of visible ASCII characters"))
