"""``winmail.dat`` files, including hostile ones."""

import struct
import time
import tracemalloc
from base64 import encodebytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopbell.email import tnef
from shopbell.email.parse import parse

SIGNATURE = struct.pack("<IH", 0x223E9F78, 1)
MESSAGE, ATTACHMENT = 1, 2
BODY, CODEPAGE, PROPERTIES = 0x800C, 0x9007, 0x9003
BEGIN, TITLE, DATA, ABOUT = 0x9002, 0x8010, 0x800F, 0x9005
STRING, UNICODE, BINARY, OBJECT, SHORT = 0x1E, 0x1F, 0x102, 0x0D, 0x02
LONG_NAME, DATA_OBJECT, HTML, INTERNET_CODEPAGE, PLAIN = 0x3707, 0x3701, 0x1013, 0x3FDE, 0x1000
MESSAGE_ID = b"\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"


def item(level: int, name: int, data: bytes) -> bytes:
    """One object of a winmail.dat."""
    return struct.pack("<BHHI", level, name, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def long(kind: int, name: int, data: bytes) -> bytes:
    """A property of any length."""
    return struct.pack("<HHII", kind, name, 1, len(data)) + data + b"\0" * (-len(data) % 4)


def properties(*each: bytes) -> bytes:
    """The properties of an object."""
    return struct.pack("<I", len(each)) + b"".join(each)


def file(name: bytes, content: bytes, *more: bytes) -> bytes:
    """A file."""
    about = item(ATTACHMENT, ABOUT, properties(*more)) if more else b""
    return item(ATTACHMENT, BEGIN, b"\0" * 14) + item(ATTACHMENT, TITLE, name) + item(ATTACHMENT, DATA, content) + about


def mail(content: bytes, text: str = "") -> bytes:
    """A mail with a winmail.dat."""
    return (
        b"From: Tom <tom@mail.example>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
        + text.encode()
        + b"\r\n--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encodebytes(content)
        + b"\r\n--b--\r\n"
    )


TWO_FILES = SIGNATURE + item(MESSAGE, CODEPAGE, struct.pack("<II", 1252, 0)) + file(b"plan.pdf\0", b"%PDF-1.7\0\0")
TWO_FILES += file(b"GRUNDR~1.TXT\0", b"hi", long(UNICODE, LONG_NAME, "Grundriß.txt\0".encode("utf-16-le")))


def test_the_files_in_a_winmail_dat_replace_it() -> None:
    read = parse(mail(TWO_FILES, "See the plan."))
    assert read.text == "See the plan."
    assert [(each.name, each.content) for each in read.attachments] == [
        ("plan.pdf", b"%PDF-1.7\0\0"),
        ("Grundriß.txt", b"hi"),
    ]
    assert read.faults == ()


def test_a_winmail_dat_is_recognised_by_name_too() -> None:
    other = mail(TWO_FILES).replace(
        b"application/ms-tnef; name=winmail.dat", b"application/octet-stream; name=WINMAIL.DAT"
    )
    assert len(parse(other).attachments) == 2


def test_a_name_is_decoded_with_its_declared_codepage() -> None:
    greek = SIGNATURE + item(MESSAGE, CODEPAGE, struct.pack("<II", 1253, 0))
    name = "σχέδιο.txt".encode("cp1253")
    for content in (file(name, b"x"), file(b"x", b"x", long(STRING, LONG_NAME, name + b"\0"))):
        (found,) = parse(mail(greek + content)).attachments
        assert found.name == "σχέδιο.txt"


@pytest.mark.parametrize(
    "content",
    [
        item(MESSAGE, BODY, "Grüße".encode("cp1252") + b"\0"),
        item(MESSAGE, PROPERTIES, properties(long(STRING, PLAIN, "Grüße\0".encode("cp1252")))),
        item(MESSAGE, PROPERTIES, properties(long(UNICODE, PLAIN, "Grüße\0".encode("utf-16-le")))),
        item(
            MESSAGE,
            PROPERTIES,
            properties(
                struct.pack("<HHI", 3, INTERNET_CODEPAGE, 65001),
                long(BINARY, HTML, "<p>Grüße<script>x</script></p>".encode()),
            ),
        ),
    ],
)
def test_its_text_is_used_if_the_email_has_no_other(content: bytes) -> None:
    content = SIGNATURE + item(MESSAGE, CODEPAGE, struct.pack("<II", 1252, 0)) + content
    assert parse(mail(content)).text == "Grüße"
    assert parse(mail(content, "Hello")).text == "Hello"


def test_a_winmail_dat_with_only_formatting_is_left_out() -> None:
    assert parse(mail(SIGNATURE + item(MESSAGE, 0x8008, b"IPM.Note\0"), "Hello")).attachments == ()


def test_an_unreadable_winmail_dat_stays_a_file() -> None:
    for content in (b"no tnef", SIGNATURE, TWO_FILES[:20], b"\x78\x9f\x3e\x22"):
        (found,) = parse(mail(content)).attachments
        assert (found.name, found.content) == ("winmail.dat", content)


def test_a_truncated_winmail_dat_yields_its_complete_files() -> None:
    read = parse(mail(TWO_FILES[:-30]))
    assert read.attachments[0].content == b"%PDF-1.7\0\0"
    assert read.faults == ("a winmail.dat was not whole",)


def within(content: bytes) -> bytes:
    """A message within a message."""
    return file(b"inner\0", b"", long(OBJECT, DATA_OBJECT, MESSAGE_ID + content))


def test_files_of_nested_messages_are_found_up_to_a_depth() -> None:
    inner = SIGNATURE + item(MESSAGE, BODY, b"inner words\0") + file(b"a.txt\0", b"a")
    read = tnef.read(SIGNATURE + within(inner))
    assert read is not None
    assert [(each.name, each.content) for each in read.files] == [("inner.txt", b"inner words"), ("a.txt", b"a")]
    for _ in range(100):
        inner = SIGNATURE + within(inner)
    deep = tnef.read(inner)
    assert deep is not None
    assert not deep.is_whole


HUGE = 8_000_000
HOSTILE = {
    "properties without an end": item(ATTACHMENT, ABOUT, struct.pack("<I", 0xFFFFFFFF) + long(STRING, LONG_NAME, b"a")),
    "a property of four billion values": item(
        ATTACHMENT, ABOUT, struct.pack("<IHHI", 1, SHORT | 0x1000, LONG_NAME, 0xFFFFFFFF)
    ),
    "a property of many values": item(
        ATTACHMENT, ABOUT, struct.pack("<IHHI", 1, SHORT | 0x1000, LONG_NAME, HUGE // 2) + b"\0" * HUGE
    ),
    "a property of many strings": item(
        ATTACHMENT, ABOUT, struct.pack("<IHHI", 1, STRING, LONG_NAME, HUGE // 4) + b"\0" * HUGE
    ),
    "many properties": item(
        ATTACHMENT, ABOUT, struct.pack("<I", HUGE) + struct.pack("<HHI", SHORT, LONG_NAME, 0) * (HUGE // 8)
    ),
    "a length of four billion": item(
        ATTACHMENT, ABOUT, properties(struct.pack("<HHII", STRING, LONG_NAME, 1, 0xFFFFFFFF))
    ),
    "many small objects": item(MESSAGE, 0x8008, b"") * (HUGE // 11),
    "many files": item(ATTACHMENT, BEGIN, b"\0" * 14) * (HUGE // 25),
    "an object longer than all": struct.pack("<BHHI", ATTACHMENT, DATA, 6, 0xFFFFFFFF) + b"x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_winmail_dat_is_parsed_in_bounded_time_and_memory(name: str) -> None:
    content = SIGNATURE + HOSTILE[name]
    tracemalloc.start()
    begin_s = time.process_time()
    try:
        tnef.read(content)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin_s < 3
    assert peak_bytes < 4 * len(content) + 50_000_000


@given(st.lists(st.tuples(st.integers(0, len(TWO_FILES) - 5), st.binary(min_size=1, max_size=4)), max_size=8))
@settings(max_examples=500, deadline=None)
def test_arbitrarily_changed_files_are_parsed(changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(TWO_FILES)
    for at, new in changes:
        content[at : at + len(new)] = new
    parse(mail(bytes(content)))
