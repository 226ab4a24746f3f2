"""Hostile emails are parsed in bounded time and memory."""

import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopbell.email.bodies import ATTACHMENTS_MAX, TEXT_MAX_CHARACTERS
from shopbell.email.parse import IncomingEmail, parse

LONGEST_S = 3
"""Each takes about half a second; on a machine that others use, too, more is granted."""
SIZE_BYTES = 8_000_000
FROM = b"From: Carol <carol@example.com>\r\n"


def is_sound(mail: IncomingEmail) -> bool:
    """Whether it can be stored in any database and shown on any page."""
    texts = [mail.text, mail.reply_text, mail.html or "", mail.subject, mail.sender_name, mail.sender or ""]
    texts += [each.name for each in mail.attachments]
    for text in texts:
        text.encode("utf-8")  # no halves of characters
        assert "\0" not in text
    for each in mail.attachments:
        assert 1 <= len(each.name) <= 255
        assert "/" not in each.name
        assert "\n" not in each.name
    assert "\n" not in mail.subject + mail.sender_name
    assert len(mail.text) <= TEXT_MAX_CHARACTERS
    assert len(mail.attachments) <= ATTACHMENTS_MAX
    return True


def with_type(media_type: bytes, more: bytes = b"") -> bytes:
    """The header of a mail of a type."""
    return FROM + b"Content-Type: " + media_type + b"\r\n" + more + b"\r\n"


NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth) for depth in range(100)
)

BROKEN = {
    "nothing": (b"", None),
    "one NUL": (b"\0", None),
    "no header": (b"just words\n", None),
    "a header alone": (FROM, None),
    "unknown charset": (with_type(b"text/plain; charset=klingon") + "café".encode(), "café"),
    "a charset that is none": (with_type(b"text/plain; charset=base64") + b"aGk=", "aGk="),
    "a charset that takes long": (with_type(b"text/plain; charset=punycode") + b"egbpdaj6bu4bxfgehfvwxn", None),
    "a charset with a NUL": (with_type(b"text/plain; charset=utf\0-8") + b"hi", "hi"),
    "wrong bytes of the charset": (with_type(b"text/plain; charset=utf-8") + b"caf\xe9", "café"),
    "halves of characters": (with_type(b"text/plain; charset=utf-16") + b"\xff\xfea\0\x00\xd8b\0", None),
    "wrong base64": (with_type(b"text/plain", b"Content-Transfer-Encoding: base64\r\n") + b"aG!k\x00=\n=Q", None),
    "base64 of pieces": (with_type(b"text/plain", b"Content-Transfer-Encoding: base64\r\n") + b"aA==aQ==", "hi"),
    "base64 that is cut": (with_type(b"text/plain", b"Content-Transfer-Encoding: base64\r\n") + b"aGkhI", "hi!"),
    "wrong quoted-printable": (
        with_type(b"text/plain", b"Content-Transfer-Encoding: quoted-printable\r\n") + b"=ZZ hi =",
        "=ZZ hi ",
    ),
    "unknown encoding": (with_type(b"text/plain", b"Content-Transfer-Encoding: rot13\r\n") + b"hi", "hi"),
    "missing boundary": (with_type(b"multipart/mixed") + b"--x\r\n\r\nhi\r\n--x--\r\n", "hi"),
    "wrong boundary": (with_type(b"multipart/mixed; boundary=y") + b"--x\r\n\r\nhi\r\n--x--\r\n", None),
    "empty boundary": (with_type(b'multipart/mixed; boundary=""') + b"--\r\n\r\nhi\r\n----\r\n", None),
    "boundary without an end": (with_type(b"multipart/mixed; boundary=x") + b"--x\r\n\r\nhi", "hi"),
    "boundary of patterns": (with_type(b'multipart/mixed; boundary="(.*)+"') + b"--(.*)+\r\n\r\nhi\r\n", "hi"),
    "a part in itself": (with_type(b"multipart/mixed; boundary=x") + b"--x\r\n--x\r\n\r\nhi\r\n--x--", "hi"),
    "nested a hundred deep": (FROM + NESTED + b"\r\nhi", None),
    "types that are none": (with_type(b";;;=;/;charset") + b"hi", "hi"),
    "parameters in pieces": (
        with_type(b"text/plain; charset*0*=utf''utf; charset*1=-8; charset*9999999999=x") + b"x",
        None,
    ),
    "a name of folders": (
        with_type(b"text/plain", b'Content-Disposition: attachment; filename="../../etc/\x00pass\\wd"\r\n') + b"x",
        "",
    ),
    "a name too long": (
        with_type(b"a/b", b"Content-Disposition: attachment; filename=" + b"a" * 5_000 + b".pdf\r\n") + b"x",
        "",
    ),
    "an address that is none": (b'From: <<<>>>,,,"\r\nTo: ((((\r\n\r\nhi', "hi"),
    "a date that is none": (FROM + b"Date: Tue, 99 Foo 999999999 99:99:99 +9999999\r\n\r\nhi", "hi"),
    "a mailbox's separator": (b"From carol@example.com Tue May 12 09:41:07 2026\r\n" + FROM + b"\r\nhi", "hi"),
    "headers without an end": (FROM + b"X: y\r\n" * 100_000, None),
    "two senders": (b"From: a@example.com, b@example.com\r\n\r\nhi", "hi"),
    "an encoded line break": (FROM + b"Subject: =?utf-8?q?a=0D=0ABcc:_x@example.com?=\r\n\r\nhi", "hi"),
    "delivery status of nothing": (
        with_type(b"multipart/report; boundary=x")
        + b"--x\r\nContent-Type: message/delivery-status\r\n\r\nAction\r\n\r\nAction: failed\r\nStatus: x\r\n--x--",
        None,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_email_is_parsed_as_far_as_possible(name: str) -> None:
    raw, text = BROKEN[name]
    mail = parse(raw, authserv_id="mx.example.com")
    assert is_sound(mail)
    if text is not None:
        assert mail.text == text


def test_parsing_problems_are_reported() -> None:
    assert "a boundary is missing" in parse(BROKEN["missing boundary"][0]).faults
    assert "parts are nested too deep" in parse(BROKEN["nested a hundred deep"][0]).faults
    assert "the last boundary is missing" in parse(BROKEN["boundary without an end"][0]).faults
    assert "the sender is missing or not one alone" in parse(BROKEN["two senders"][0]).faults


def test_several_senders_count_as_none() -> None:
    assert parse(BROKEN["two senders"][0]).sender is None
    assert parse(b"From: a@example.com\r\nFrom: b@example.com\r\n\r\nhi").sender is None


HUGE: dict[str, Callable[[], bytes]] = {
    "one line": lambda: FROM + b"\n" + b"a" * SIZE_BYTES,
    "empty lines": lambda: FROM + b"\n" * SIZE_BYTES,
    "NULs": lambda: b"\0" * SIZE_BYTES,
    "quotes": lambda: FROM + b"\n" + b">\n" * (SIZE_BYTES // 2),
    "sentences": lambda: FROM + b"\n" + (b"On 1 " + b"wrot" * 100 + b":\n") * (SIZE_BYTES // 406),
    "blocks": lambda: FROM + b"\n" + b"From: a\n" * (SIZE_BYTES // 8),
    "half a scandinavian sentence": lambda: FROM + b"\n" + b"Den x skrev " * (SIZE_BYTES // 12),
    "markers": lambda: FROM + b"\n" + b"> ##- a\n" * (SIZE_BYTES // 8),
    "flowed lines": lambda: with_type(b"text/plain; format=flowed") + b"x \n" * (SIZE_BYTES // 3),
    "tags in tags": lambda: with_type(b"text/html") + b"<div>" * (SIZE_BYTES // 5),
    "cells": lambda: with_type(b"text/html") + (b"<td>" + b"x " * 50) * (SIZE_BYTES // 104),
    "signs of tags": lambda: with_type(b"text/html") + b"<!--<" * (SIZE_BYTES // 5),
    "tags in parts": lambda: (
        with_type(b"multipart/mixed; boundary=b")
        + (b"--b\nContent-Type: text/html\n\n" + b"<div>" * 9_000 + b"\n") * (SIZE_BYTES // 45_000)
    ),
    "ten thousand parts": lambda: with_type(b"multipart/mixed; boundary=b") + b"--b\n\nx\n" * 10_000,
    "boundaries": lambda: with_type(b"multipart/mixed; boundary=b") + b"--b\n" * (SIZE_BYTES // 4),
    "lines like boundaries": lambda: with_type(b"multipart/mixed; boundary=b") + b"--bx\n" * (SIZE_BYTES // 5),
    "lines like many boundaries": lambda: (
        FROM
        + b"".join(
            b"Content-Type: multipart/mixed; boundary=" + b"b" * each + b"\n\n--" + b"b" * each + b"\n"
            for each in range(1, 20)
        )
        + (b"--" + b"b" * 20 + b"\n") * (SIZE_BYTES // 23)
    ),
    "nested parts": lambda: (
        FROM
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (each, each) for each in range(400_000))
    ),
    "files": lambda: with_type(b"multipart/mixed; boundary=b") + b"--b\nContent-Type: a/b\n\nx\n" * 500_000,
    "padding": lambda: FROM + b"Content-Transfer-Encoding: base64\n\n" + b"A=" * (SIZE_BYTES // 2),
    "encoded words": lambda: FROM + b"Subject: " + b"=?utf-8?q?=C3?= " * (SIZE_BYTES // 16),
    "parameters": lambda: FROM + b"Content-Type: text/plain; " + b'a*0="b;' * (SIZE_BYTES // 7),
    "addresses": lambda: b"From: " + b'"a,<(' * (SIZE_BYTES // 5),
    "comments": lambda: FROM + b"Authentication-Results: x; " + b"(" * SIZE_BYTES,
    "folds": lambda: FROM + b"X: y\n" + b" z\n" * (SIZE_BYTES // 3),
    "status of recipients": lambda: (
        with_type(b"multipart/report; boundary=b")
        + b"--b\nContent-Type: message/delivery-status\n\n"
        + b"Action: failed\n\n" * (SIZE_BYTES // 16)
    ),
    "a bounce": lambda: (
        b"From: mailer-daemon@x.example.com\nSubject: Undeliverable\n\n5.1.1 message-id:" + b"<a@" * 8_000_000
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_hostile_email_is_parsed_in_bounded_time(name: str) -> None:
    raw = HUGE[name]()
    begin = time.process_time()
    mail = parse(raw, authserv_id="x")
    taken_s = time.process_time() - begin
    assert is_sound(mail)
    assert taken_s < LONGEST_S


@pytest.mark.parametrize("name", ["one line", "empty lines", "tags in tags", "boundaries", "nested parts", "files"])
def test_a_hostile_email_is_parsed_in_bounded_memory(name: str) -> None:
    raw = HUGE[name]()
    tracemalloc.start()
    try:
        parse(raw)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * len(raw) + 50_000_000


@given(st.binary(max_size=2_000))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_parsed(raw: bytes) -> None:
    assert is_sound(parse(raw, authserv_id="x"))


PIECES = st.sampled_from(
    [
        *(b"From: ", b"To: ", b"Subject: ", b"Date: ", b"References: ", b"Authentication-Results: x; dmarc=", b"pass"),
        *(b"Content-Type: ", b"multipart/mixed; boundary=b", b"multipart/alternative; boundary=c", b"multipart/report"),
        *(b"text/plain; charset=", b"text/html", b"utf-16", b"iso-2022-jp", b"hz", b"utf-7", b"; format=flowed"),
        *(b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"Content-Disposition: attachment; filename"),
        *(
            b"*0*=",
            b"*=utf-8''%C3",
            b'="',
            b"message/delivery-status",
            b"Action: failed",
            b"=?utf-8?b?",
            b"=?x?q?",
            b"?=",
        ),
        *(
            b"--b",
            b"--c",
            b"--b--",
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b"\n\n",
            b"\r",
            b" ",
            b"\t",
            b":",
            b";",
            b",",
            b"<",
            b">",
        ),
        *(b"On 1 May Alice wrote:", b"> ##- a -##", b"-- ", b"<blockquote><p>", b"</", b"&#0;", b"&#xd800;", b"\0"),
        *(b"\xff\xfe", b"\xe2\x80\xae", b"carol@example.com", b"(", b'"', b"\\"),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=5), max_size=60).map(b"".join))
@settings(max_examples=700, deadline=None)
def test_arbitrary_combinations_of_parts_are_parsed(raw: bytes) -> None:
    assert is_sound(parse(raw, authserv_id="x"))
