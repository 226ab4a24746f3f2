"""Extra headers of webhooks: which ones are allowed, and how they are stored. Their values are secret."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HEADERS_MAX = 20
NAME_MAX_CHARACTERS = 200
VALUE_MAX_CHARACTERS = 4_096

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[!-~]([ -~]*[!-~])?")
_OURS = {
    "host",
    "user-agent",
    "accept-encoding",  # responses are not decompressed
    # Hop-by-hop headers concern one connection and could split the request in two.
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OUR_BEGINNINGS = ("content-", "webhook-")


@dataclass(frozen=True, slots=True)
class ExtraHeader:
    """A header, with its name as given. The value is not part of the repr."""

    name: str
    value: str = field(repr=False)


def check_name(name: str) -> None:
    """Check the name of a header.

    Raises:
        ValueError: it is not a name (RFC 9110), or one that Shopbell sets; the message is the end of a sentence without
            the name.
    """
    if len(name) > NAME_MAX_CHARACTERS or not _TOKEN.fullmatch(name):
        raise ValueError(f"must be a header name: 1 to {NAME_MAX_CHARACTERS} letters, digits and hyphens")
    lower = name.lower()
    if lower in _OURS or lower.startswith(_OUR_BEGINNINGS):
        raise ValueError("must not be a header of the connection, the content or the signature")


def check_value(value: str) -> None:
    """Check the value of a header.

    Raises:
        ValueError: it is empty, too long or not visible ASCII; the message is the end of a sentence without the value.
    """
    if len(value) > VALUE_MAX_CHARACTERS or not _VISIBLE.fullmatch(value):
        raise ValueError(f"must be 1 to {VALUE_MAX_CHARACTERS} visible ASCII characters, with spaces only inside")


def check_together(names: Sequence[str]) -> None:
    """Check that headers with these names may be sent together.

    Raises:
        ValueError: there are too many, or two have the same name; the message is the end of a sentence without a name.
    """
    if len(names) > HEADERS_MAX:
        raise ValueError(f"must have at most {HEADERS_MAX} entries")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("must not have the same header twice, in any case")


def as_text(headers: Iterable[ExtraHeader]) -> str:
    """Headers as one text, to be encrypted."""
    return json.dumps([{"name": header.name, "value": header.value} for header in headers])


def from_text(text: str) -> list[ExtraHeader]:
    """The headers of a text of ``as_text``."""
    return [ExtraHeader(header["name"], header["value"]) for header in json.loads(text)]
