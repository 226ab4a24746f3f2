"""CSV files of spreadsheets are read as people save them."""

import io
from pathlib import Path
from typing import Any

import pytest

from shopbell.errors import CommandError
from shopbell.imports import contacts_csv
from shopbell.imports.model import BrokenRecord, Person


def read(content: bytes, **columns: str) -> list[tuple[int, Any]]:
    """The customers of a file; of a bad row, what is wrong with it."""
    file = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="surrogateescape", newline="")
    found = contacts_csv.read(file, Path("customers.csv"), columns)
    return [(number, str(each) if isinstance(each, BrokenRecord) else each) for number, each in found]


TOO_LONG = "is too long, or has a value that is too long"
CAROL = Person("", "Carol Jones", "carol@example.com", "+16175550100", "Acme", "en")


@pytest.mark.parametrize(
    "content",
    [
        b"name,email,phone,company,locale\nCarol Jones,carol@example.com,+16175550100,Acme,en\n",
        b"\xef\xbb\xbfEmail;Phone Number;Full_Name;Organisation;Language\r\n"
        b"carol@example.com;+16175550100;Carol Jones;Acme;en\r\n",
        b"E-Mail\tLast Name\tfirst name\tMobile\tCompany\tlocale\tNotes\n"
        b"carol@example.com\tJones\tCarol\t'+16175550100\tAcme\ten\tcalls often\n",
        b'"Name","Phone 1 - Value","E-mail 1 - Value",Company,Locale\n'
        b'"Carol\nJones","+16175550100 ::: +16175550101","carol@example.com","Acme","en"\n',
    ],
)
def test_headings_separators_and_quotes_of_common_programs(content: bytes) -> None:
    ((_, found),) = read(content)
    assert " ".join(found.name.split()) == CAROL.name
    assert (found.email, found.phone, found.company, found.locale) == (
        *(CAROL.email, CAROL.phone, CAROL.company, CAROL.locale),
    )


def test_rows_are_known_by_their_line_and_empty_ones_left_out() -> None:
    content = b"email,name\n\n,\ncarol@example.com,Carol\ndave@example.com\n\xff@example.com,x\nbob@example.com,Bob"
    assert [(number, getattr(found, "email", found)) for number, found in read(content)] == [
        (4, "carol@example.com"),
        (5, "dave@example.com"),
        (6, "is not UTF-8"),
        (7, "bob@example.com"),
    ]


def test_a_value_that_is_too_long_is_reported_and_the_next_row_read() -> None:
    content = b"email\n" + b"x" * 200_000 + b"\ncarol@example.com\n"
    assert [getattr(found, "email", found) for _, found in read(content)] == [
        TOO_LONG,
        "carol@example.com",
    ]


class LongLines(io.StringIO):
    """A file whose lines must be read in parts."""

    def readline(self, size: int | None = -1) -> str:
        """The next line, or a part of it."""
        assert size is not None and size > 0  # noqa: PT018
        return super().readline(size)

    def __next__(self) -> str:
        return self.readline()


def test_a_first_line_that_may_not_fit_into_memory_is_refused() -> None:
    with pytest.raises(CommandError, match=r"customers\.csv, line 1: .*one line for each customer"):
        list(contacts_csv.read(LongLines("email,name," * 20_000), Path("customers.csv"), {}))


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_that_may_not_fit_into_memory_is_reported_and_the_next_one_read(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts_csv, "LINE_MAX_CHARACTERS", 1_000)
    file = LongLines(f"email,name\n{'short,' * 500}{end}carol@example.com,Carol\n", newline="")
    found = [*contacts_csv.read(file, Path("customers.csv"), {})]
    assert [getattr(each, "email", str(each)) for _, each in found] == [TOO_LONG, "carol@example.com"]


def test_columns_are_named_by_hand() -> None:
    content = b"Adresse,Nom\ncarol@example.com,Carol\n"
    with pytest.raises(CommandError, match="no column for email addresses"):
        read(content)
    ((_, found),) = read(content, email="adresse", name="NOM")
    assert (found.email, found.name) == ("carol@example.com", "Carol")
    with pytest.raises(CommandError, match=r"there is no column 'Courriel'"):
        read(content, email="Courriel")


@pytest.mark.parametrize("content", ["email,name\n".encode("utf-16"), b"\xe9mail,nom\n"])
def test_a_file_in_another_encoding_is_refused(content: bytes) -> None:
    with pytest.raises(CommandError, match="CSV UTF-8"):
        read(content)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(CommandError, match="no column for email addresses"):
        read(b"")
