"""Detects the media type of a file by its content. Its name and declared type are not trusted. Pure."""

import re
from fnmatch import fnmatchcase

SNIFF_BYTES = 16_384
"""How much of a file is read to detect its type."""

UNKNOWN = "application/octet-stream"

INLINE = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"))
"""Types that a browser may show inline: pictures that cannot contain scripts."""

# Long enough to avoid false matches, and none that a text could start with.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"OggS\0", "audio/ogg"),
    (b"fLaC\0", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"PK\x05\x06", "application/zip"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = (
    (b"avif", "image/avif"),
    (b"avis", "image/avif"),
    (b"hei", "image/heic"),
    (b"hev", "image/heic"),
    (b"mif1", "image/heif"),
    (b"msf1", "image/heif"),
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"qt  ", "video/quicktime"),
    (b"3g", "video/3gpp"),
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OFFICE_FOLDERS = {
    b"word/": f"{_OFFICE}wordprocessingml.document",
    b"xl/": f"{_OFFICE}spreadsheetml.sheet",
    b"ppt/": f"{_OFFICE}presentationml.presentation",
}
_ZIP_NAME = re.compile(rb"PK\x03\x04.{22}(?P<length>.{2}).{2}", re.DOTALL)
_OPEN_DOCUMENT = re.compile(rb"mimetype(application/(?:vnd\.oasis\.opendocument\.[a-z-]+|epub\+zip))")

# As browsers distinguish text from binary data and markup from text (WHATWG MIME Sniffing).
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
# Comments match atomically (`(?>…)`): with backtracking, a few of them would take forever.
_MARKUP = re.compile(
    rb"\s*+(?:<!--(?>.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_XML = re.compile(rb"\s*<(?:\?xml|!--|!doctype|[a-z][a-z0-9_:.-]*[\s>/])", re.IGNORECASE)
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def sniff(head: bytes) -> str:
    """The media type of a file.

    Args:
        head: its first ``SNIFF_BYTES`` bytes, or all.

    Returns:
        A type in lower case; ``application/octet-stream`` if it is unknown.
    """
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return next((kind for brand, kind in _BRANDS if head[8:12].startswith(brand)), "video/mp4")
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(head)
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if _is_mpeg_audio(head):
        return "audio/mpeg"
    return _kind_of_text(head)


def is_among(media_type: str, allowed: str) -> bool:
    """Whether a setting allows a type.

    Args:
        media_type: the result of ``sniff``.
        allowed: types separated by commas; ``*`` matches any part of a type.
    """
    return any(fnmatchcase(media_type, each.strip().lower()) for each in allowed.split(","))


def _is_mpeg_audio(head: bytes) -> bool:
    if head.startswith(b"ID3"):
        return len(head) > 5 and head[3] in (2, 3, 4) and head[4] != 0xFF  # the version of a tag, not a letter
    # The sync word of a frame. Version, layer, bit rate and sample rate must be valid.
    return (
        len(head) > 3
        and head[0] == 0xFF
        and head[1] in (0xF2, 0xF3, 0xFA, 0xFB)
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0x0C != 0x0C
    )


def _kind_of_zip(head: bytes) -> str:
    names = []
    for header in _ZIP_NAME.finditer(head):
        length = int.from_bytes(header["length"], "little")
        names.append(head[header.end() : header.end() + length])
    declared = _OPEN_DOCUMENT.match(head, 30)
    if declared is not None:
        return declared[1].decode()
    if names and names[0] in (b"[Content_Types].xml", b"_rels/.rels"):
        for folder, media_type in _OFFICE_FOLDERS.items():
            if any(name.startswith(folder) for name in names):
                return media_type
    return "application/zip"


def _kind_of_text(head: bytes) -> str:
    if head.startswith(_BYTE_ORDER_MARKS):
        return "text/plain"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _NOT_TEXT.search(text):
        return UNKNOWN
    if _MARKUP.match(text):
        return "text/html"
    if _XML.match(text):
        return "image/svg+xml" if _SVG.search(text) else "application/xml"
    return "text/plain"
