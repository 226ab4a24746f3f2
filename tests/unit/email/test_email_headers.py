"""Every header value becomes one line or is refused."""

import email.policy
import unicodedata
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shopbell.email.headers import NAME_MAX_CHARACTERS, TEXT_MAX_CHARACTERS, Mailbox, Token, clean, header, mailbox

ANYTHING = st.text(st.characters(codec=None), max_size=300) | st.text(
    '=?utf8QqbB_+/ \r\n\0<>"\\,;:@.()é\u202e', max_size=120
)


def sent(*values: object, name: str = "Subject") -> tuple[bytes, EmailMessage]:
    """A header as bytes, and the mail that a stock parser makes of them."""
    message = EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit"))
    made = header(name, *values)  # type: ignore[arg-type]
    message[made.name] = made
    content = message.as_bytes()
    return content, message_from_bytes(content, policy=email.policy.default)  # type: ignore[return-value, arg-type]


@given(ANYTHING)
@example("=?UTF-8?Q?=0A?=")
@example("=?UTF-8?Q?=0D=0ABcc:_x@y.example?=")
@example("a\r\nBcc: x@y.example")
@example("\ud800")
@settings(max_examples=400, deadline=None)
def test_a_subject_is_decoded_unchanged_and_stays_one_header(text: str) -> None:
    if not clean(text):
        with pytest.raises(ValueError, match="must hold something"):
            header("Subject", text)
        return
    content, message = sent(text)
    assert content.isascii()
    assert [name for name, _ in message.items()] == ["Subject"]
    assert message["Subject"] == clean(text) == str(header("Subject", text))
    assert not message["Subject"].defects
    assert all(0 < len(line) <= 998 for line in content.split(b"\r\n")[:-2])
    assert all(line.startswith(b" ") and line.strip() for line in content.split(b"\r\n")[1:-2])
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")


@given(ANYTHING)
@example("=?utf-8?q?=0ABcc=3A_x=40y.example?=")
@example('a" <mallory@stranger.example>, "b')
@settings(max_examples=400, deadline=None)
def test_a_display_name_comes_before_its_address(name: str) -> None:
    content, message = sent(mailbox("carol@customers.example", name), name="To")
    assert content.isascii()
    assert [found for found, _ in message.items()] == ["To"]
    assert [address.addr_spec for address in message["To"].addresses] == ["carol@customers.example"]
    # The newer parser leaves spaces between the parts of a long name; the older one reads as the standard says.
    read, address = parseaddr(message_from_bytes(content)["To"])
    assert address == "carol@customers.example"
    assert str(make_header(decode_header(read))) == clean(name, NAME_MAX_CHARACTERS)


@given(ANYTHING)
@settings(max_examples=400, deadline=None)
def test_a_cleaned_value_is_one_visible_line(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= TEXT_MAX_CHARACTERS
    assert cleaned == clean(cleaned)
    assert not {unicodedata.category(character) for character in cleaned} & {"Cc", "Cs", "Zl", "Zp"}
    assert len(cleaned.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Acme\r\nBcc: x", "Acme Bcc: x"),
        ("  a \t b\u2028c\x85d\x00e ", "a b c d e"),
        ("in\u202evoice\u202c \u2066x\u2069 \u200fy", "invoice x y"),
        ("می‌خواهم 👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "می‌خواهم 👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_joiners_are_kept_and_invisible_characters_are_removed(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_ascii_texts_stay_readable_in_the_source() -> None:
    assert sent("Re: Your order #12")[0] == b"Subject: Re: Your order #12\r\n\r\n"
    boxed, _ = sent(mailbox("shop@acme.example", "Acme, Inc. (Boston)"), name="From")
    assert boxed == b'From: "Acme, Inc. (Boston)" <shop@acme.example>\r\n\r\n'


def test_headers_are_folded_readably() -> None:
    content, _ = sent("word " * 39)
    assert max(map(len, content.split(b"\r\n"))) <= 78
    content, _ = sent("übergrößenträger " * 11)
    assert max(map(len, content.split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    "address",
    [
        "carol@customers.example\r\nBcc: mallory@stranger.example",
        "carol@customers.example, mallory@stranger.example",
        "<carol@customers.example>",
        "Carol <carol@customers.example>",
        "=?utf-8?q?mallory=40stranger.example?=",
        "carol@customers.example\0",
        "carol@[127.0.0.1]",
        '"carol\r\n"@customers.example',
        "carol",
        "",
        "c" * 65 + "@customers.example",
        "carol@" + "c" * 250 + ".example",
    ],
)
def test_an_invalid_address_is_never_used(address: str) -> None:
    with pytest.raises(ValueError, match="must be an email address"):
        mailbox(address)


def test_an_address_keeps_its_case_and_gets_an_ascii_domain() -> None:
    made = mailbox("Carol.Müller@Bücher.Example".replace("ü", "u", 1), "Carol")
    assert isinstance(made, Mailbox)
    assert made.address.addr_spec == "Carol.Muller@xn--bcher-kva.example"


@pytest.mark.parametrize("text", ["", "a b", "a\r\n b", "a\0", "é", "x" * 901])
def test_a_token_is_visible_ascii_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Token(text)


@pytest.mark.parametrize("name", ["", "Sub ject", "Subject:", "Subject\r\nBcc", "Ünder"])
def test_a_header_name_is_validated(name: str) -> None:
    with pytest.raises(ValueError, match="name of a header"):
        header(name, "hello")
