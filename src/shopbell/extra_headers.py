"""Headers that a receiver of webhooks wants beside ours: which ones may be, and how they are kept. Their values are
secrets."""

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
    "accept-encoding",  # nobody here unpacks an answer
    # Hop by hop: what these say is between two neighbours, and could cut our request in two.
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
    """One header, its name in the spelling of whoever gave it; the value is not in its repr."""

    name: str
    value: str = field(repr=False)


def check_name(name: str) -> None:
    """Make sure that a header of this name may be sent.

    Args:
        name: as given.

    Raises:
        ValueError: it is no name (RFC 9110), or one that Shopbell sets itself; the text is the end of a sentence and
            does not quote it.
    """
    if len(name) > NAME_MAX_CHARACTERS or not _TOKEN.fullmatch(name):
        raise ValueError(f"must be a header's name: 1 to {NAME_MAX_CHARACTERS} letters, digits and hyphens")
    lower = name.lower()
    if lower in _OURS or lower.startswith(_OUR_BEGINNINGS):
        raise ValueError("must not be a header that belongs to the connection, to the content or to the signature")


def check_value(value: str) -> None:
    """Make sure that a header may have this value.

    Raises:
        ValueError: it is empty, too long or not visible ASCII; the text is the end of a sentence, without the value.
    """
    if len(value) > VALUE_MAX_CHARACTERS or not _VISIBLE.fullmatch(value):
        raise ValueError(f"must be 1 to {VALUE_MAX_CHARACTERS} visible ASCII characters, with spaces only inside")


def check_together(names: Sequence[str]) -> None:
    """Make sure that headers of these names may be sent together.

    Raises:
        ValueError: there are too many, or two of one name; the text is the end of a sentence, without any name.
    """
    if len(names) > HEADERS_MAX:
        raise ValueError(f"must have at most {HEADERS_MAX} entries")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("must not name a header twice, in whatever case")


def as_text(headers: Iterable[ExtraHeader]) -> str:
    """Headers as one text, to be sealed."""
    return json.dumps([{"name": header.name, "value": header.value} for header in headers])


def from_text(text: str) -> list[ExtraHeader]:
    """The headers of a text that ``as_text`` made."""
    return [ExtraHeader(header["name"], header["value"]) for header in json.loads(text)]
