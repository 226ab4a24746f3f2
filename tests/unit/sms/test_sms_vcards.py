"""What is shown of a vCard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell.sms.vcards import contacts_text


def vcard(*lines: str) -> bytes:
    """A vCard of these lines."""
    return "\r\n".join(["BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD", ""]).encode()


def test_a_contact_shows_name_organization_numbers_and_addresses() -> None:
    file = vcard(
        "N:Jones;Carol;;;",
        "item1.TEL;waid=16175550100:+1 617 555 0100",
        "item1.X-ABLabel:Mobile",
        'TEL;TYPE="work:voice,x":+1 617 555 0101',
        "TEL;VALUE=uri:tel:+1-617-555-0102",
        "FN:Carol Jones",
        "EMAIL;TYPE=HOME:carol@example.com",
        "EMAIL:carol@example.com",
        "ORG:Acme\\; Sons\\, Ltd.;Sales;",
        "PHOTO;ENCODING=b:AAAA=",
    )
    assert contacts_text(file) == (
        "Contact: Carol Jones\nAcme; Sons, Ltd., Sales\n+1 617 555 0100\n+1 617 555 0101\n+1-617-555-0102\n"
        "carol@example.com"
    )


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (("FN:Car", " ol Jo", "\tnes"), "Carol Jones"),
        (("fn:Carol Jones",), "Carol Jones"),
        (("FN:Zoë 🚲",), "Zoë 🚲"),
        (("FN:Carol\\nContact: Bob\x1b[0m\u0085x",), "Carol Contact: Bob [0m x"),
        (("FN:C\\\\J",), "C\\J"),
        (("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Zo=C3=AB=", "=20Jones"), "Zoë Jones"),
        (("FN:", "TEL:112"), "112"),
        (("FN:" + "x" * 300,), "x" * 200),
    ],
)
def test_a_value_is_one_line_of_plain_text(lines: tuple[str, ...], shown: str) -> None:
    assert contacts_text(vcard(*lines)) == f"Contact: {shown}"


def test_a_file_may_have_several_contacts_and_start_with_a_byte_order_mark() -> None:
    file = b"\xef\xbb\xbf" + vcard("FN:Carol") + vcard("FN:Dave").replace(b"\r\n", b"\n")
    assert contacts_text(file) == "Contact: Carol\nContact: Dave"


def test_a_long_contact_is_truncated() -> None:
    text = contacts_text(vcard("FN:Carol", *(f"TEL:{number}" for number in range(5_000))))
    assert (len(text), text[-1]) == (1_500, "…")


@pytest.mark.parametrize(
    "file",
    [b"", b"<html>", vcard(), vcard("NOTE:x"), vcard("FN:Carol")[:-15], vcard("FN:Zo\xeb").decode().encode("latin-1")],
)
def test_an_incomplete_contact_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match=r"vCard|nothing to show|utf-8"):
        contacts_text(file)


@given(st.lists(st.sampled_from(["FN:a", "TEL", ';"', ":", "=", "\\", "\n", " ", "END:VCARD\n", "QUOTED-PRINTABLE"])))
def test_arbitrary_files_raise_no_other_error(parts: list[str]) -> None:
    try:
        text = contacts_text(b"BEGIN:VCARD\n" + "".join(parts).encode())
    except ValueError:
        return
    assert text.startswith("Contact: ")
