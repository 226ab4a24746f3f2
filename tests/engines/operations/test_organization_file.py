"""An organization's file is validated line by line before use."""

import io
import random
from typing import Any

import pytest

from harness.archives import Filled, documents, sealed, with_a_wrong_row
from harness.databases import Databases
from harness.installation import Installation
from shopbell.errors import CommandError
from shopbell.operations import organization_file

FLIPS = 200


@pytest.fixture(scope="module")
def content(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Acme's file, with the bytes of its attachment."""
    folder = tmp_path_factory.mktemp("content")
    database = databases.copy("sqlite", "world")
    filled = Filled(Installation(database, folder), databases.world("sqlite"))
    filled.exported(folder / "acme.jsonl", "--attachments")
    databases.drop(database)
    return (folder / "acme.jsonl").read_bytes()


def test_every_flipped_bit_is_detected(content: bytes) -> None:
    chosen = random.Random(20)
    positions = [*range(0, 200, 7), *range(len(content) - 120, len(content))]
    positions += [chosen.randrange(len(content)) for _ in range(FLIPS)]
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 1 << chosen.randrange(8)
        with pytest.raises(CommandError):
            organization_file.check(io.BytesIO(flipped))
    organization_file.check(io.BytesIO(content))


def test_a_file_truncated_anywhere_is_refused(content: bytes) -> None:
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10][:-1]
    for end in [0, 1, *ends, *(end - 2 for end in ends), len(content) - 1]:
        with pytest.raises(CommandError, match=r"cut off|not the file of an organization"):
            organization_file.check(io.BytesIO(content[:end]))
    with pytest.raises(CommandError, match="there is data after its end"):
        organization_file.check(io.BytesIO(content + b"{}\n"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda lines, at: lines[at].update(table="recipes"), "neither a row of a known table"),
        (lambda lines, at: lines[at].update(row=[]), "neither a row of a known table"),
        (lambda lines, at: lines[at]["row"].update(added_later=1), "a column that this version does not know"),
        (lambda lines, at: lines[at]["row"].pop("body"), "has no body"),
        (lambda lines, at: lines[at]["row"].update(body=None), "has an invalid body"),
        (lambda lines, at: lines[at]["row"].update(body="a\0b"), "has an invalid body"),
        (lambda lines, at: lines[at]["row"].update(body=7), "has an invalid body"),
        (lambda lines, at: lines[at]["row"].update(from_customer=1), "has an invalid from_customer"),
        (lambda lines, at: lines[at]["row"].update(sequence=True), "has an invalid sequence"),
        (lambda lines, at: lines[at]["row"].update(created_at_ms=2**63), "has an invalid created_at_ms"),
        (lambda lines, at: lines[at]["row"].update(id=2**53), "has an invalid id"),
        (lambda lines, at: lines[at]["row"].update(id=-5), "has an invalid id"),
        (lambda lines, at: lines[at]["row"].update(organization_id=1), "belongs to another organization"),
        (lambda lines, at: lines.insert(at, lines[1] | {"row": dict(lines[1]["row"])}), "must come earlier"),
    ],
)
def test_an_invalid_line_is_reported_by_number(content: bytes, change: Any, what: str) -> None:
    file, number = with_a_wrong_row(content, "messages", change)
    with pytest.raises(CommandError) as refused:
        organization_file.check(io.BytesIO(file))
    (line, end) = str(refused.value).splitlines()
    assert line.startswith(f"line {number} ")
    assert what in line
    assert end == "nothing was imported"
    organization_file.check(io.BytesIO(sealed(documents(content))))


def test_invalid_lines_are_reported_together_up_to_a_limit(content: bytes) -> None:
    lines = documents(content)
    for line in lines[1:]:
        line["row"] = None
    with pytest.raises(CommandError) as refused:
        organization_file.check(io.BytesIO(sealed(lines)))
    assert len(str(refused.value).splitlines()) == organization_file.ERRORS_SHOWN + 1


def test_a_file_without_its_organization_is_refused_because_it_has_no_ids(content: bytes) -> None:
    header = documents(content)[0] | {"counts": {}}
    with pytest.raises(CommandError, match="the row of the organization is missing"):
        organization_file.check(io.BytesIO(sealed([header])))
