"""The formats that conversations are imported from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shopbell.imports import chatwoot, freescout, intercom, zendesk
from shopbell.imports.model import Record


@dataclass(frozen=True, slots=True)
class Format:
    """A format with one JSON object per line.

    Args:
        records: the records of a line, which may be a page of an API.
        read: what a record contains; raises ``BrokenRecord`` or ``SkippedRecord``.
    """

    records: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
    read: Callable[[dict[str, Any]], Iterator[Record]]


FORMATS: Mapping[str, Format] = {
    "chatwoot": Format(chatwoot.records, chatwoot.read),
    "zendesk": Format(zendesk.records, zendesk.read),
    "freescout": Format(freescout.records, freescout.read),
    "intercom": Format(intercom.records, intercom.read),
}
"""By the name of the product."""
