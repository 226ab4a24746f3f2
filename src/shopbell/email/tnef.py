"""Read files and text from Outlook's ``winmail.dat`` (TNEF, MS-OXTNEF).

``tnefparse`` decodes the properties, but it trusts its input: it loops over a count of four billion, copies the whole
file for each of many small objects, and recurses into nested messages. So this module checks all lengths first and
passes one object at a time.
"""

import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tnefparse import properties
from tnefparse.mapi import (
    IMESSAGE_SIG,
    MULTI_VALUE_FLAG,
    SZMAPI_STRING,
    TNEFMAPI_Attribute,
    decode_mapi,
)
from tnefparse.tnef import TNEF, TNEFObject

from shopbell.email import decoding

OBJECTS_MAX = 5_000
VALUES_MAX = 20_000
"""Limit for the property values of one object."""

DEPTH_MAX = 3
FILES_MAX = 100

_SIGNATURE = struct.pack("<I", TNEF.TNEF_SIGNATURE)
_HEAD_BYTES = 6
_OBJECT_HEAD_BYTES = 9
_CHECKSUM_BYTES = 2
_GUID_BYTES = 16
_NAMED = 0x8000
# The length of a value, by property type. Values of the types in _COUNTED contain their own length.
_FIXED_BYTES = {0x02: 2, 0x0B: 2, 0x03: 4, 0x04: 4, 0x0A: 4, 0x05: 8, 0x07: 8, 0x06: 8, 0x14: 8, 0x40: 8, 0x48: 16}
_COUNTED = frozenset((0x1E, 0x1F, 0x0D, 0x102, 0x00))
_PADDED = frozenset((0x02, 0x0B))

# It logs input that it cannot read.
logging.getLogger("tnefparse").setLevel(logging.CRITICAL + 1)


@dataclass(slots=True)
class TnefFile:
    """A file in a winmail.dat, with the name that its sender chose."""

    name: str = ""
    content: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class TnefContent:
    """The content of a winmail.dat.

    Args:
        files: in order, including those of nested messages.
        text: the email's text; None if there is none, or only rich text.
        html: the email's HTML.
        is_whole: whether everything could be read.
    """

    files: list[TnefFile] = field(default_factory=list)
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    is_whole: bool = True


def read(content: bytes) -> TnefContent | None:
    """Read as much as possible of a winmail.dat.

    Args:
        content: any bytes.

    Returns:
        None if this is not a winmail.dat.
    """
    return _read(content, depth=0)


def _read(content: bytes, *, depth: int) -> TnefContent | None:
    if not content.startswith(_SIGNATURE) or len(content) < _HEAD_BYTES + _OBJECT_HEAD_BYTES:
        return None
    wrapped = TnefContent()
    codepage: str | None = None
    file: TnefFile | None = None
    for item in _objects(content, wrapped):
        try:
            if item.name == TNEF.ATTOEMCODEPAGE and len(item.data) >= 4:
                codepage = f"cp{struct.unpack_from('<I', item.data)[0]}"
            elif item.level == TNEF.LVL_ATTACHMENT:
                if item.name == TNEF.ATTATTACHRENDDATA or file is None:
                    file = TnefFile()
                    wrapped.files.append(file)
                _add(file, item, wrapped, codepage, depth)
            elif item.name == TNEF.ATTBODY:
                wrapped.text = decoding.decode(item.data.rstrip(b"\0"), codepage)
            elif item.name == TNEF.ATTMAPIPROPS:
                _add_text(wrapped, item, codepage)
        except Exception:  # noqa: BLE001 - any error of the library concerns only this object
            wrapped.is_whole = False
        if len(wrapped.files) > FILES_MAX:
            wrapped.is_whole = False
            break
    wrapped.files = [each for each in wrapped.files[:FILES_MAX] if each.content or each.name]
    return wrapped


def _objects(content: bytes, wrapped: TnefContent) -> Iterator[TNEFObject]:
    at = _HEAD_BYTES
    for _ in range(OBJECTS_MAX):
        if at + _OBJECT_HEAD_BYTES + _CHECKSUM_BYTES > len(content):
            wrapped.is_whole = wrapped.is_whole and not content[at:].strip(b"\0")
            return
        length = int(struct.unpack_from("<I", content, at + 5)[0]) + _OBJECT_HEAD_BYTES + _CHECKSUM_BYTES
        if at + length > len(content):
            wrapped.is_whole = False
        yield TNEFObject(content[at : at + length])
        at += length
    wrapped.is_whole = False


def _add(file: TnefFile, item: TNEFObject, wrapped: TnefContent, codepage: str | None, depth: int) -> None:
    """Add the data of an object to a file."""
    if item.name == TNEF.ATTATTACHDATA:
        file.content = item.data
    elif item.name == TNEF.ATTATTACHTITLE and not file.name:
        file.name = decoding.decode(item.data.rstrip(b"\0"), codepage)
    elif item.name == TNEF.ATTATTACHMENT:
        found = {each.name: each for each in _properties(item.data)}
        for name in (
            properties.MAPI_ATTACH_LONG_FILENAME,
            properties.MAPI_ATTACH_FILENAME,
            properties.MAPI_DISPLAY_NAME,
        ):
            if name in found and (said := _text(found[name], codepage)):
                file.name = said
                break
        if properties.MAPI_ATTACH_DATA_OBJ in found:
            _add_object(file, found[properties.MAPI_ATTACH_DATA_OBJ], wrapped, depth)


def _add_object(file: TnefFile, found: TNEFMAPI_Attribute, wrapped: TnefContent, depth: int) -> None:
    """Add an embedded object: a nested message, or the document of a program."""
    content = b"".join(found.raw_data)  # including trailing zeros, which the library would remove as padding
    if not content.startswith(IMESSAGE_SIG):
        file.content = file.content or found.data
        return
    inner = _read(content[len(IMESSAGE_SIG) :], depth=depth + 1) if depth < DEPTH_MAX else None
    if inner is None:
        wrapped.is_whole = False
        return
    if inner.text:
        file.content = inner.text.encode()
        file.name = f"{file.name or 'message'}.txt"
    wrapped.files += inner.files
    wrapped.is_whole = wrapped.is_whole and inner.is_whole


def _add_text(wrapped: TnefContent, item: TNEFObject, codepage: str | None) -> None:
    found = {each.name: each for each in _properties(item.data)}
    internet = found.get(properties.MAPI_INTERNET_CODEPAGE)
    charset = f"cp{internet.data}" if internet is not None else codepage
    for name in (properties.MAPI_BODY, properties.MAPI_UNCOMPRESSED_BODY):
        if name in found:
            wrapped.text = _text(found[name], charset) or wrapped.text
    if properties.MAPI_BODY_HTML in found:
        wrapped.html = _text(found[properties.MAPI_BODY_HTML], charset) or None


def _text(found: TNEFMAPI_Attribute, charset: str | None) -> str:
    said = found.data
    if isinstance(said, bytes):
        return decoding.decode(said, charset)
    if isinstance(said, str):
        return (
            decoding.decode(said.encode("latin-1"), charset)
            if found.attr_type == SZMAPI_STRING
            else decoding.tidy(said)
        )
    return ""


def _properties(data: bytes) -> Sequence[TNEFMAPI_Attribute]:
    """Decode the properties that lie completely within an object."""
    count = _count_whole(data)
    # Latin-1 preserves all bytes; they are decoded when the charset is known.
    return decode_mapi(struct.pack("<I", count) + data[4:], "latin-1") if count else ()


def _count_whole(data: bytes) -> int:
    """Count the properties, from the first one, that end within the data."""
    whole = 0
    try:
        count = int(struct.unpack_from("<I", data)[0])
        at, values = 4, 0
        while whole < count and at < len(data):
            at, more = _skip(data, at, VALUES_MAX - values)
            values += more
            if at > len(data) or values > VALUES_MAX:
                break
            whole += 1
    except (struct.error, ValueError):
        pass
    return whole


def _skip(data: bytes, at: int, room: int) -> tuple[int, int]:
    """Return where the property at this position ends, and how many values it has.

    Raises:
        ValueError: its type is unknown, or it has too many values.
        struct.error: the data ends before the property.
    """
    kind, name = struct.unpack_from("<HH", data, at)
    at += 4
    if name >= _NAMED:
        (named,) = struct.unpack_from("<I", data, at + _GUID_BYTES)
        at += _GUID_BYTES + 4
        at = at + 4 if named == 0 else _behind(data, at)
    is_multiple = bool(kind & MULTI_VALUE_FLAG)
    kind &= ~MULTI_VALUE_FLAG
    count = 1
    if is_multiple or kind in _COUNTED:
        count = int(struct.unpack_from("<I", data, at)[0])
        at += 4
        # For an empty multi-value property, the library still reads one value.
        count = max(count, 1) if is_multiple else count
    if count > room or (kind not in _FIXED_BYTES and kind not in _COUNTED):
        raise ValueError
    if kind in _FIXED_BYTES:
        at += count * _FIXED_BYTES[kind] + (2 if kind in _PADDED and count % 2 else 0)
    else:
        for _ in range(count):
            at = _behind(data, at)
    return at, count


def _behind(data: bytes, at: int) -> int:
    """Return the end of a value that follows its length, padded to four bytes."""
    (length,) = struct.unpack_from("<I", data, at)
    return at + 4 + int(length) + -int(length) % 4
