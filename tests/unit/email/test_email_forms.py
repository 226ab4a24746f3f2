"""Senders, charsets, encodings and attachments in all common forms."""

import binascii
import email.utils

import pytest

from shopbell.email import decoding, uuencode
from shopbell.email.parse import IncomingEmail, parse

HEAD = b"From: Tom <tom@mail.example>\r\nSubject: x\r\n"


def from_field(value: str) -> IncomingEmail:
    """What is made of a sender."""
    return parse(f"From: {value}\r\nSubject: x\r\n\r\nhi".encode())


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("tom@mail.example", ""),
        ("<tom@mail.example>", ""),
        ("tom@mail.example <tom@mail.example>", ""),
        ('"tom@mail.example" <tom@mail.example>', ""),
        ("'tom@mail.example' <tom@mail.example>", ""),
        ("tom@mail.example <mailto:tom@mail.example>", ""),
        ("Tom <MAILTO:tom@mail.example>", "Tom"),
        ("Tom [mailto:tom@mail.example]", "Tom"),
        ("Tom <tom@mail.example<mailto:tom@mail.example>>", "Tom"),
        ("Tom <<tom@mail.example>>", "Tom"),
        ("Tom <tom@mail.example.>", "Tom"),
        ("Tom <tom@mail.example", "Tom"),
        ("Tom <tom@mail.example>,", "Tom"),
        ("Tom <tom@mail.example>;", "Tom"),
        ("Tom < tom@mail.example >", "Tom"),
        ("Tom <tom @mail.example>", "Tom"),
        ('Tom <"tom"@mail.example>', "Tom"),
        ("Tom tom@mail.example", "Tom"),
        ('"tom@mail.example"', ""),
        ("tom@mail.example (Tom Beck)", "Tom Beck"),
        ("Tom (at work) <tom@mail.example>", "Tom"),
        ("Tom <tom@mail.example> (by way of somewhere)", "Tom"),
        ("Beck, Tom <tom@mail.example>", "Beck, Tom"),
        ('"Beck, Tom" <tom@mail.example>', "Beck, Tom"),
        ('"Tom "the chair" Beck" <tom@mail.example>', "Tom the chair Beck"),
        (r'"Tom \"the chair\" Beck" <tom@mail.example>', 'Tom "the chair" Beck'),
        ("=?utf-8?q?Beck=2C_T=C3=B6m?= <tom@mail.example>", "Beck, Töm"),
        ("=?utf-8?q?Tom_=3Ctom=40mail=2Eexample=3E?=", "Tom"),
        ("Tom: tom@mail.example", "Tom"),
        ("anna@shop.example <tom@mail.example>", ""),
        ("TOM@Mail.Example", ""),
        ("tom@mail.example, tom@mail.example", ""),
    ],
)
def test_a_sender_is_parsed_in_every_form(value: str, name: str) -> None:
    mail = from_field(value)
    assert mail.sender == "tom@mail.example"
    if not value.startswith(("Tom: ", "anna@")):
        assert mail.sender_name == name


@pytest.mark.parametrize(
    "value",
    [
        "tom@mail.example, anna@shop.example",
        "tom@mail.example anna@shop.example",
        "<tom@mail.example> <anna@shop.example>",
        "Tom <tom@mail.example> anna@shop.example",
        "Tom <tom@mail.example>\r\nFrom: Anna <anna@shop.example>",
        "=?utf-8?q?tom=40mail=2Eexample=2C_anna=40shop=2Eexample?=",
        "MAILER-DAEMON <>",
        "Tom",
        "",
    ],
)
def test_an_unclear_sender_is_not_guessed(value: str) -> None:
    mail = from_field(value)
    assert mail.sender is None
    assert "the sender is missing or not one alone" in mail.faults


@pytest.mark.parametrize(
    "value", ["Carol <carol@example.com>, =?utf-8?q?D=C3=A4ve=2C?= <dave@example.com>", "a@x.example (b@y.example)"]
)
def test_plain_headers_are_parsed_like_the_standard_library_does(value: str) -> None:
    mail = parse(f"From: a@x.example\r\nTo: {value}\r\n\r\nhi".encode())
    assert mail.recipients == tuple(address for _, address in email.utils.getaddresses([value]))


@pytest.mark.parametrize(
    ("charset", "written", "text"),
    [
        ("utf-7", b"Gr+APwA3w-e", "Grüße"),
        ("unicode-1-1-utf-7", b"Gr+APwA3w-e", "Grüße"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", "Grüße".encode(), "Grüße"),
        ("windows-1251", "Привет".encode(), "Привет"),
        ("utf-8", "Grüße".encode("cp1252"), "Grüße"),
        ("windows1251", "Привет".encode("cp1251"), "Привет"),
        ("cp-1251", "Привет".encode("cp1251"), "Привет"),
        ("koi8r", "Привет".encode("koi8-r"), "Привет"),
        ('"iso-8859-2";', "Žlutý kůň".encode("iso8859-2"), "Žlutý kůň"),
        ("x-mac-roman", "Grüße".encode("mac_roman"), "Grüße"),
        ("ks_c_5601-1987", "금요일".encode("cp949"), "금요일"),
        ("gb_2312-80", "转发".encode("gb2312"), "转发"),
        ("x-sjis", "金曜日".encode("cp932"), "金曜日"),
        ("utf-8", "金曜日".encode("iso-2022-jp"), "金曜日"),
        ("x-unknown", "金曜日".encode("iso-2022-jp"), "金曜日"),
        ("x-unknown", "Grüße".encode(), "Grüße"),
        ("windows-874", "สวัสดี".encode("cp874"), "สวัสดี"),
        ("utf-7", b"+2AA- x", "\ufffd x"),
    ],
)
def test_a_text_is_decoded_under_any_charset_name(charset: str, written: bytes, text: str) -> None:
    assert decoding.decode(written, charset) == text


@pytest.mark.parametrize(
    ("charset", "text"), [("gb2312", "转发"), ("koi8-r", "Заказ"), ("shift_jis", "注文"), ("iso-8859-1", "Größe")]
)
def test_a_header_without_a_charset_uses_that_of_the_text(charset: str, text: str) -> None:
    written = text.encode(charset)
    head = b"Subject: " + written + b"\r\nFrom: " + written + b" <tom@mail.example>\r\n"
    mail = parse(head + f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + written)
    assert (mail.subject, mail.sender_name, mail.text) == (text, text, text)
    part = b"--b\r\nContent-Type: text/plain; charset=" + charset.encode() + b"\r\n\r\n" + written + b"\r\n"
    file = b"--b\r\nContent-Disposition: attachment; filename=" + written + b".pdf\r\n\r\n%PDF\r\n--b--"
    (attached,) = parse(HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part + file).attachments
    assert attached.name == f"{text}.pdf"


def test_a_text_without_a_charset_uses_that_of_the_subject() -> None:
    raw = b"Subject: =?koi8-r?b?+sHLwdo=?=\r\nFrom: tom@mail.example\r\n\r\n" + "Привет".encode("koi8-r")
    assert parse(raw).text == "Привет"


def test_html_without_a_charset_header_uses_its_meta_tag() -> None:
    html = '<html><head><meta charset="windows-1251"></head><p>Привет</p>'.encode("cp1251")
    assert parse(HEAD + b"Content-Type: text/html\r\n\r\n" + html).text == "Привет"


@pytest.mark.parametrize("name", ['""', '" "', '"message.txt"'])
@pytest.mark.parametrize("kind", ["plain", "html"])
def test_the_only_text_part_is_the_text_even_with_a_file_name(name: str, kind: str) -> None:
    named = f"Content-Type: text/{kind}; name={name}\r\n"
    inline = f"Content-Type: text/{kind}\r\nContent-Disposition: inline; filename={name}\r\n"
    for fields in (named, inline):
        mail = parse(HEAD + fields.encode() + b"\r\nhello")
        assert (mail.text, mail.attachments) == ("hello", ())


def test_alternatives_are_text_even_with_file_names() -> None:
    parts = (
        "--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\nhello\r\n"
        "--b\r\nContent-Type: text/x-amp-html\r\n\r\n<html amp4email>\r\n"
        '--b\r\nContent-Type: text/html; name="a.htm"\r\n\r\n<p>hello</p>\r\n--b--'
    )
    mail = parse(HEAD + b"Content-Type: multipart/alternative; boundary=b\r\n\r\n" + parts.encode())
    assert (mail.text, mail.html, mail.attachments) == ("hello", "<p>hello</p>", ())


def test_an_attached_text_is_a_file() -> None:
    part = b"Content-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment\r\n\r\nhello"
    (file,) = parse(HEAD + part).attachments
    assert (file.name, file.content) == ("a.txt", b"hello")


def test_an_empty_file_is_kept_and_an_empty_unnamed_part_is_ignored() -> None:
    parts = (
        b"--b\r\n\r\nsee file\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n\r\n"
        b"--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment\r\n\r\n\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--b--"
    )
    mail = parse(HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts)
    assert [(file.name, file.content) for file in mail.attachments] == [("a.pdf", b""), ("image.png", b"")]


def encoded(name: str, content: bytes, newline: bytes = b"\n", filler: bytes = b"`") -> bytes:
    """A file as older programs write it."""
    lines = [binascii.b2a_uu(content[at : at + 45]).rstrip(b"\n") for at in range(0, len(content), 45)]
    return newline.join(
        [b"begin 644 " + name.encode(), *(line.replace(b" ", filler) for line in lines), b"`", b"end", b""]
    )


@pytest.mark.parametrize("encoding", ["x-uuencode", "uuencode", "X-UUE", '"x-uuencode"', "x-uuencode (old)"])
def test_a_uuencoded_part_is_decoded(encoding: str) -> None:
    content = bytes(range(256))
    field = f"Content-Disposition: attachment; filename=a.bin\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    (file,) = parse(HEAD + field.encode() + encoded("a.bin", content, b"\r\n")).attachments
    assert file.content == content


@pytest.mark.parametrize("filler", [b"`", b" "])
def test_uuencoded_files_are_extracted_from_the_text(filler: bytes) -> None:
    files = encoded("Küche.txt", b"hi\n", filler=filler) + b"between\n" + encoded("b.bin", b"\0" * 100, filler=filler)
    mail = parse(HEAD + b"\r\nHello,\n\n" + files + b"\nTom\n")
    assert mail.text == "Hello,\n\nbetween\n\nTom"
    assert [(file.name, file.content) for file in mail.attachments] == [("Küche.txt", b"hi\n"), ("b.bin", b"\0" * 100)]


@pytest.mark.parametrize(
    "text",
    [
        "begin 644 a.txt\nno such lines\nend",
        "begin 644 a.txt\n#:&D*\n`\n",
        "We begin 644 times:\n#:&D*\nend",
        "begin 644 \nend",
    ],
)
def test_text_that_only_looks_like_uuencode_stays(text: str) -> None:
    mail = parse(HEAD + b"\r\n" + text.encode())
    assert (mail.text, mail.attachments) == (text.strip("\n"), ())


def test_many_uuencode_headers_take_linear_time() -> None:
    assert len(uuencode.find(b"begin 644 a\nend\n" * 200_000)) == uuencode.FILES_MAX
    assert uuencode.find(b"begin 644 a\n" + b"#:&D*\n" * 200_000) == []


@pytest.mark.parametrize("encoding", ["base64", "BASE64", '"base64"', "base64;", "base64 (x)", "base-64", "base_64"])
def test_an_encoding_name_is_recognised_in_every_form(encoding: str) -> None:
    assert parse(HEAD + f"Content-Transfer-Encoding: {encoding}\r\n\r\naGVsbG8=".encode()).text == "hello"
