"""File types are detected from the content, and file names are cleaned."""

import io
import time
import unicodedata
import wave
import zipfile

import pytest

from shopbell.attachments.attachments import NAME_MAX_CHARACTERS, clean_name
from shopbell.attachments.media_types import INLINE, SNIFF_BYTES, is_among, sniff
from shopbell.settings.settings import Settings

ALLOWED = Settings.model_fields["attachment_types"].default


def zipped(*names: str, compressed: bool = True) -> bytes:
    """A real archive of files with these names."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else "x" * 500)
    return buffer.getvalue()


def sound() -> bytes:
    """A real sound."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(800))
    return buffer.getvalue()


OFFICE = "application/vnd.openxmlformats-officedocument."
KNOWN = [
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
    (b"GIF89a\x01\0\x01\0", "image/gif"),
    (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
    (b"\0\0\0\x1cftypavif\0\0\0\0", "image/avif"),
    (b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic"),
    (b"BM\x46\0\0\0\0\0\0\0\x36\0", "image/bmp"),
    (b"\0\0\0\x20ftypisom\0\0\x02\0", "video/mp4"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
    (b"\0\0\0\x20ftypM4A \0\0\0\0", "audio/mp4"),
    (b"ID3\x04\0\0\0\0\0\x23", "audio/mpeg"),
    (b"\xff\xfb\x90\x64\0\0", "audio/mpeg"),
    (b"OggS\0\x02", "audio/ogg"),
    (sound(), "audio/wav"),
    (b"\x1a\x45\xdf\xa3\x01", "video/webm"),
    (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
    (zipped("a.txt", "b/c.png"), "application/zip"),
    (zipped("notes/word/a.txt"), "application/zip"),
    (zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"), f"{OFFICE}wordprocessingml.document"),
    (zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), f"{OFFICE}spreadsheetml.sheet"),
    (zipped("_rels/.rels", "ppt/presentation.xml"), f"{OFFICE}presentationml.presentation"),
    (zipped("mimetype", "content.xml", compressed=False), "application/vnd.oasis.opendocument.text"),
    (b"Hello, I need help with my order.\n", "text/plain"),
    ("Grüße, 你好, 😀".encode(), "text/plain"),
    ("Größe;Preis\n".encode("latin-1"), "text/plain"),
    ("\ufeffname,price\n".encode("utf-16"), "text/plain"),
    (b"BM is how my text begins", "text/plain"),
    (b"ID3 is how my text begins", "text/plain"),
    (b"MZ is how my text begins", "text/plain"),
    (b"1 < 2 and <3 too", "text/plain"),
    (b"<!DOCTYPE html><p>", "text/html"),
    (b" \n\t<ScRiPt>alert(1)</script>", "text/html"),
    (b"\xef\xbb\xbf<html>", "text/html"),
    (b"<!-- a comment --><body onload=alert(1)>", "text/html"),
    (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
    (b"<?xml version='1.0'?>\n<!-- x --><svg onload='alert(1)'/>", "image/svg+xml"),
    (b"<?xml version='1.0'?><rss/>", "application/xml"),
    (b"<xsl:stylesheet version='1.0'/>", "application/xml"),
    (b"MZ\x90\0\x03\0", "application/octet-stream"),
    (b"\x7fELF\x02\x01\x01\0", "application/octet-stream"),
    (b"RIFF\0\0\0\0ACON", "application/octet-stream"),
    (b"\0", "application/octet-stream"),
]


@pytest.mark.parametrize(("head", "media_type"), KNOWN)
def test_a_file_type_is_detected_from_its_content(head: bytes, media_type: str) -> None:
    assert sniff(head) == media_type


def test_files_of_any_length_are_detected() -> None:
    for head, _ in KNOWN:
        for length in range(1, min(len(head), 64)):
            assert "/" in sniff(head[:length])


def test_no_inline_type_can_contain_a_script() -> None:
    for media_type in INLINE:
        assert media_type.startswith("image/")
        assert "xml" not in media_type


def test_common_files_are_allowed_and_pages_and_programs_are_not() -> None:
    allowed = {media_type for _, media_type in KNOWN if is_among(media_type, ALLOWED)}
    assert {"image/png", "video/mp4", "audio/mpeg", "application/pdf", "text/plain"} <= allowed
    assert f"{OFFICE}wordprocessingml.document" in allowed
    assert allowed & {"text/html", "application/xml", "application/octet-stream"} == set()
    assert is_among("image/png", " IMAGE/* ,text/plain")
    assert not is_among("application/pdf", "image/*")
    assert not is_among("image/png", "")


def test_unterminated_comments_take_linear_time() -> None:
    begun_s = time.process_time()
    for comment in (b"<!---->", b"<!-- -->\n", b"<!-->"):
        assert sniff(comment * 24 + b"x") == "application/xml"
        assert sniff(comment * (SNIFF_BYTES // len(comment))) == "application/xml"
    assert time.process_time() - begun_s < 1


NAMES = [
    ("receipt.pdf", "receipt.pdf"),
    ("../../etc/passwd", "passwd"),
    ("C:\\Users\\Carol\\receipt.pdf", "receipt.pdf"),
    ("/", "file"),
    ("..", "file"),
    ("...", "file"),
    ("", "file"),
    (" \t ", "file"),
    ("\u200d\u200c", "file"),
    (".htaccess", ".htaccess"),
    ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
    ("a\0b.txt", "ab.txt"),
    ("invoice\u202egpj.exe", "invoicegpj.exe"),
    ("\u2066a\u2069\u200eb\ufeff.txt", "ab.txt"),
    ("receipt.pdf. . ", "receipt.pdf"),
    ("  two   words .txt", "two words .txt"),
    ("Gru\u0308ße 你好 😀.txt", "Grüße 你好 😀.txt"),
    ("\U0001f468\u200d\U0001f469\u200d\U0001f467.png", "\U0001f468\u200d\U0001f469\u200d\U0001f467.png"),
    ("می\u200cخواهم.txt", "می\u200cخواهم.txt"),
    ("a" * 300 + ".pdf", "a" * 251 + ".pdf"),
    ("a" * 300, "a" * 255),
    ("a." + "b" * 300, ("a." + "b" * 300)[:255]),
    ("." + "b" * 300, ("." + "b" * 300)[:255]),
]


@pytest.mark.parametrize(("sent", "kept"), NAMES)
def test_a_file_name_loses_folders_and_invisible_characters(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


def test_no_character_makes_a_file_name_dangerous() -> None:
    for point in (*range(0x10000), *range(0xE0000, 0xE0200)):  # the second are tags, which are invisible
        kept = clean_name(f"a{chr(point)}b")
        assert 1 <= len(kept) <= NAME_MAX_CHARACTERS
        assert not set(kept) & set("/\\\r\n\0")
        if chr(point) not in "\u200c\u200d":
            assert all(unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in kept), hex(point)
