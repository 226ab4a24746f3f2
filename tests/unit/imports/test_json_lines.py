"""Large files are read line by line, and each bad line is reported."""

import io
from pathlib import Path
from typing import Any

import pytest

from shopbell.errors import CommandError
from shopbell.imports import json_lines
from shopbell.imports.model import BrokenRecord


def read(content: bytes) -> list[tuple[int, Any]]:
    """What a file contains; of a bad line, what is wrong with it."""
    found = json_lines.read(io.BytesIO(content), Path("tickets.json"))
    return [(number, str(each) if isinstance(each, BrokenRecord) else each) for number, each in found]


def test_each_line_is_an_object_or_a_list_of_objects() -> None:
    content = b'\xef\xbb\xbf{"id": 1}\r\n\n  \n[{"id": 2}, {"id": 3}]\n{"id": 4}'
    assert read(content) == [(1, [{"id": 1}]), (4, [{"id": 2}, {"id": 3}]), (5, [{"id": 4}])]


@pytest.mark.parametrize("line", [b"{", b'{"id": 1', b"\xff\xfe", b"nothing", b'{"a": "\x01"}', b"[" * 100_000])
def test_a_line_that_is_not_json_is_reported_and_the_next_one_read(line: bytes) -> None:
    assert read(b'{"id": 1}\n' + line + b' \x00\n{"id": 3}') == [
        (1, [{"id": 1}]),
        (2, "is not JSON"),
        (3, [{"id": 3}]),
    ]


@pytest.mark.parametrize("line", [b"1", b"null", b'"text"', b"[1]", b'[{"id": 1}, 2]'])
def test_a_line_that_is_no_object_is_reported(line: bytes) -> None:
    assert read(line) == [(1, "is not a JSON object")]


def test_half_of_a_character_is_read() -> None:
    ((_, [found]),) = read(b'{"text": "cut off \\ud83d"}')
    assert found["text"].startswith("cut off ")


def test_a_line_that_would_not_fit_into_memory_is_reported_and_the_next_one_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_lines, "LINE_MAX_BYTES", 1_048_576)
    long_line = b'{"text": "' + b"x" * 3_000_000 + b'"}\n'
    assert read(b'{"id": 1}\n' + long_line + b'{"id": 3}\n') == [
        (1, [{"id": 1}]),
        (2, "is longer than 1 MB"),
        (3, [{"id": 3}]),
    ]
    with pytest.raises(CommandError, match="one JSON object per line"):
        read(long_line)


@pytest.mark.parametrize("content", [b'{\n  "id": 1\n}\n', b'[\n{"id": 1}\n]', b'{\n"tickets":\n[\n{}]}'])
def test_a_file_without_lines_is_refused_with_the_command_that_converts_it(content: bytes) -> None:
    with pytest.raises(CommandError, match=r"tickets\.json, line 1.*jq -c") as refused:
        read(content)
    assert len(str(refused.value).splitlines()) == 1
