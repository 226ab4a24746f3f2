"""Parse a ``multipart/form-data`` body with one file while it arrives (RFC 7578)."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shopbell.errors import FieldError, Invalid

PART = "file"
FRAMING_MAX_BYTES = 16_384
"""The most bytes of a body that boundaries and headers of parts may take."""

_HEADER_MAX_BYTES = 4_096
_HEADERS_MAX = 8
_BOUNDARY_MAX_BYTES = 70
# Forms escape exactly these: quotation marks and line breaks (WHATWG).
_ESCAPED = re.compile("%(22|0D|0A)", re.IGNORECASE)
_ENCODINGS = (b"binary", b"8bit", b"7bit")

# The library would log bytes of the body.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


class OneFile:
    """Extracts one file from a body.

    Args:
        headers: of the request, with names in lower case.

    Raises:
        Invalid: 400; the headers do not announce such a body.
    """

    beside_max_bytes = FRAMING_MAX_BYTES
    """The maximum number of bytes of the body without the file."""

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        boundary = _boundary(headers)
        self.sent_name: str | None = None
        self._content: list[bytes] = []
        self._part_headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._parts = 0
        self._is_over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": _collector(self._header_name),
                "on_header_value": _collector(self._header_value),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take,
                "on_end": self._end,
            },
            max_header_count=_HEADERS_MAX,
            max_header_size=_HEADER_MAX_BYTES,
        )

    def feed(self, body: bytes) -> bytes:
        """Parse the next bytes of the body, and return the bytes of the file among them.

        Raises:
            Invalid: 400; the body is not valid, or has other parts than one file.
        """
        if body and not self._is_over:  # bytes after the last boundary are ignored
            try:
                self._parser.write(body)
            except FormParserError:
                raise _malformed() from None
        content = b"".join(self._content)
        self._content.clear()
        return content

    def end(self) -> None:
        """Check that the body is complete.

        Raises:
            Invalid: 400; the last boundary is missing, or there is no file.
        """
        if not self._is_over:
            raise _malformed()
        if not self._parts:
            raise Invalid([FieldError(PART, "required", "is required")])

    @property
    def is_over(self) -> bool:
        """Whether the last boundary has arrived."""
        return self._is_over

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise _other_parts()
        self._part_headers.clear()

    def _end_header(self) -> None:
        self._part_headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._part_headers.get(b"content-disposition", b""))
        if kind != b"form-data" or options.get(b"name") != PART.encode() or b"filename" not in options:
            raise _other_parts()
        self._end_file_headers(options)

    def _end_file_headers(self, options: Mapping[bytes, bytes]) -> None:
        if self._part_headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in _ENCODINGS:
            raise _malformed()
        name = options.get(b"filename", b"").decode("utf-8", "replace")
        self.sent_name = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _end(self) -> None:
        self._is_over = True


def _collector(into: bytearray) -> Callable[[bytes, int, int], None]:
    def collect(data: bytes, start: int, end: int) -> None:
        into.extend(data[start:end])

    return collect


def _boundary(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    errors = []
    types = [value for name, value in headers if name == b"content-type"]
    kind, options = parse_options_header(types[0]) if len(types) == 1 else (b"", {})
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _BOUNDARY_MAX_BYTES:
        detail = "must be multipart/form-data with a boundary"
        errors.append(FieldError("content-type", "unsupported_media_type", detail, source="header"))
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in headers):
        detail = "must be absent or identity"
        errors.append(FieldError("content-encoding", "unsupported_content_encoding", detail, source="header"))
    if errors:
        raise Invalid(errors)
    return boundary


def _malformed() -> Invalid:
    return Invalid([FieldError("", "invalid_format", "must be complete and valid multipart/form-data")])


def _other_parts() -> Invalid:
    detail = f"must have exactly one part, a file named '{PART}'"
    return Invalid([FieldError("", "invalid_format", detail)])
