"""Composed emails: language, layout, headers and threading."""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import cast

import pytest

import shopbell
from shopbell.email.compose import compose
from shopbell.email.marker import MARKER
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.formats.brand_colors import DEFAULT_COLOR, palette
from shopbell.i18n.translations import LANGUAGES

NOON_MS = 1_700_049_600_000
ID, THREAD, HIS = "<one@reply.example>", "<thread@reply.example>", "<his.own@customers.example>"
LINK = "https://chat.example.org/t/abc?a=1&b=2"
STOP = "https://chat.example.org/unsubscribe/abc"
REPLIES = "reply+token@reply.example"

REPLY = EmailContent(
    purpose=Purpose.REPLY,
    message_id=ID,
    envelope_sender="bounce+token@reply.example",
    sender="shop@acme.example",
    recipient="Carol@customers.example",
    recipient_name="Carol",
    business_name="Acme Bikes",
    at_ms=NOON_MS,
    locale="en",
    time_zone="America/New_York",
    reply_to=REPLIES,
    messages=(
        Quoted("Alice", "Your bike is ready.\n\nSee you < soon > & bring a lock", NOON_MS),
        Quoted(
            "Alice", "", NOON_MS, "bill.pdf", "https://chat.example.org/attachments/u/bill.pdf?expires=1&signature=x"
        ),
    ),
    history=(Quoted(None, "Is my bike ready?", NOON_MS),),
    button_url=LINK,
    unsubscribe_url=STOP,
    references=(THREAD, HIS),
    in_reply_to=HIS,
)


def parsed(letter: EmailContent) -> EmailMessage:
    """The mail as Python's own ``email`` reads the bytes that are sent."""
    content = compose(letter).as_bytes()
    assert content == compose(letter).as_bytes()
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in content.split(b"\r\n"))
    assert content.isascii()
    message = cast("EmailMessage", message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
    assert not message.defects
    assert all(not part.defects for part in message.walk())
    return message


def plain(letter: EmailContent) -> str:
    """Its text."""
    body = parsed(letter).get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def html(letter: EmailContent) -> str:
    """Its page."""
    body = parsed(letter).get_body(("html",))
    assert body is not None
    return str(body.get_content())


class Page(HTMLParser):
    """The elements, the links and the words of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def links(self) -> list[str | None]:
        return [attributes["href"] for _, attributes in self.elements if "href" in attributes]


def test_text_and_html_of_a_reply_have_the_same_content() -> None:
    message = parsed(REPLY)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text, page = plain(REPLY), Page(html(REPLY))
    for said in (
        "##- Please reply above this line -##",
        "Your bike is ready.",
        "See you < soon > & bring a lock",
        "Is my bike ready?",
        "bill.pdf",
        "Nov 15, 2023, 7:00",
        "You can reply directly to this email.",
        "You are receiving this email because you contacted Acme Bikes.",
    ):
        assert said in text
        assert said in page.words
    for link in (LINK, STOP, REPLY.messages[1].attachment_url):
        assert str(link) in text
        assert link in page.links


def test_the_plain_text_is_readable() -> None:
    lines = [line.replace("\u202f", " ") for line in plain(REPLY).splitlines()]
    assert lines == [
        "##- Please reply above this line -##",
        "",
        "Alice, Nov 15, 2023, 7:00 AM",
        "",
        "Your bike is ready.",
        "",
        "See you < soon > & bring a lock",
        "",
        "Alice, Nov 15, 2023, 7:00 AM",
        "",
        "Attachment: bill.pdf",
        str(REPLY.messages[1].attachment_url),
        "",
        "Open the conversation",
        LINK,
        "",
        "You can reply directly to this email.",
        "",
        "Earlier in this conversation",
        "",
        "> You, Nov 15, 2023, 7:00 AM",
        "> Is my bike ready?",
        "",
        "-- ",
        "You are receiving this email because you contacted Acme Bikes.",
        "Unsubscribe from these emails",
        STOP,
    ]


def test_headers_name_the_sender_and_the_reply_address() -> None:
    mail, message = compose(REPLY), parsed(REPLY)
    assert (mail.sender, mail.recipient) == ("bounce+token@reply.example", "Carol@customers.example")
    assert message["From"] == "Acme Bikes <shop@acme.example>"
    assert message["To"] == "Carol <Carol@customers.example>"
    assert message["Reply-To"] == f"Acme Bikes <{REPLIES}>"
    assert message["Message-ID"] == ID
    assert message["In-Reply-To"] == HIS
    assert message["References"] == f"{THREAD} {HIS}"
    assert message["Date"].datetime.timestamp() == NOON_MS / 1_000
    assert message["List-Unsubscribe"] == f"<{STOP}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["X-Auto-Response-Suppress"] == "DR, RN, NRN, OOF, AutoReply"  # but reports of what was not delivered


@pytest.mark.parametrize(
    ("purpose", "value"),
    [
        (Purpose.REPLY, None),
        (Purpose.INVITATION, "auto-generated"),
        (Purpose.LINK, "auto-replied"),
        (Purpose.BUSINESS_NOTICE, "auto-generated"),
        (Purpose.AUTO_REPLY, "auto-replied"),
        (Purpose.SURVEY, "auto-generated"),
    ],
)
def test_automatic_emails_are_marked_as_such(purpose: Purpose, value: str | None) -> None:
    assert parsed(replace(REPLY, purpose=purpose))["Auto-Submitted"] == value


@pytest.mark.parametrize(
    ("subject", "is_follow_up", "shown"),
    [
        (None, False, "Your conversation with Acme Bikes"),
        (None, True, "Re: Your conversation with Acme Bikes"),
        ("My order", True, "Re: My order"),
        ("Re: AW: re: My order", True, "Re: My order"),
        ("Réf: 12", True, "Re: Réf: 12"),
        ("Re:", True, "Re: Re:"),
        ("\u200b\r\n", True, "Re: Your conversation with Acme Bikes"),
    ],
)
def test_the_subject_stays_the_same_in_a_conversation(subject: str | None, is_follow_up: bool, shown: str) -> None:
    assert parsed(replace(REPLY, subject=subject, is_follow_up=is_follow_up))["Subject"] == shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_email_has_the_readers_language_and_direction(purpose: Purpose, language: str) -> None:
    letter = replace(REPLY, purpose=purpose, locale=language, customer_name="Carol")
    page = Page(html(letter))
    direction = "rtl" if language == "ar" else "ltr"
    marked = [given for tag, given in page.elements if tag in ("html", "table") and "lang" in given]
    assert [(given["lang"], given["dir"]) for given in marked] == [(language, direction)] * 2
    english = replace(letter, locale="en")
    # The subject of a business's notice, a name and the beginning of a message, is the same in most languages.
    shown = [plain, html] if purpose is Purpose.BUSINESS_NOTICE else [lambda one: parsed(one)["Subject"], plain, html]
    for show in shown:
        assert (show(letter) == show(english)) is (language == "en")
    assert "{" not in plain(letter)


def test_a_reader_of_unknown_language_gets_that_of_the_business() -> None:
    assert 'lang="fr"' in html(replace(REPLY, locale="tlh", business_locale="fr-CA"))
    assert 'lang="en"' in html(replace(REPLY, locale=None, business_locale=None))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reply_line_is_recognised_in_every_language(language: str) -> None:
    text = plain(replace(REPLY, locale=language))
    assert MARKER.match(text)
    quoted = "Thank you!\n\nOn Tuesday Acme wrote:\n" + "".join(f"> {line}\n" for line in text.splitlines())
    found = MARKER.search(quoted)
    assert found is not None
    assert quoted[: found.start()] == "Thank you!\n\nOn Tuesday Acme wrote:\n"
    broken = quoted.replace(" -##", "\n> -##", 1)
    assert MARKER.search(broken) is not None


def test_without_a_reply_address_the_email_says_that_replies_are_not_read() -> None:
    letter = replace(REPLY, reply_to=None)
    assert MARKER.search(plain(letter)) is None
    assert "Please do not reply to this email" in plain(letter)
    assert "Reply-To" not in parsed(letter)


def test_one_click_unsubscribe_needs_https() -> None:
    message = parsed(replace(REPLY, unsubscribe_url="http://127.0.0.1:8080/unsubscribe/abc"))
    assert message["List-Unsubscribe"] == "<http://127.0.0.1:8080/unsubscribe/abc>"
    assert "List-Unsubscribe-Post" not in message
    assert "List-Unsubscribe" not in parsed(replace(REPLY, unsubscribe_url=None))


NOTICE = replace(
    REPLY,
    purpose=Purpose.BUSINESS_NOTICE,
    customer_name="Carol Jones",
    recipient="shop@acme.example",
    messages=(Quoted("Carol Jones", "Is my bike\nready?", NOON_MS),),
    history=(),
)


def test_employees_are_told_who_wrote_what_and_how_to_reply() -> None:
    assert parsed(NOTICE)["Subject"] == "Carol Jones: Is my bike ready?"
    assert "Your reply to this email goes to the customer." in plain(NOTICE)
    hostile = replace(NOTICE, customer_name="Carol\r\nBcc: x")
    assert parsed(hostile)["Subject"] == "Carol Bcc: x: Is my bike ready?"
    assert "Bcc" not in parsed(hostile)


def test_the_subject_of_a_notification_shows_the_start_of_the_message() -> None:
    def subject(text: str, file: str | None = None, *, is_follow_up: bool = False) -> str:
        message = Quoted("Carol Jones", text, NOON_MS, file)
        return str(parsed(replace(NOTICE, messages=(message,), is_follow_up=is_follow_up))["Subject"])

    assert subject("word " * 100) == "Carol Jones: " + ("word " * 16)[:79].rstrip() + "…"
    assert subject(" \n", "photo.jpg") == "Carol Jones: photo.jpg"
    assert subject("\u200b") == "New message from Carol Jones to Acme Bikes"
    assert subject("And on Sunday?", is_follow_up=True) == "Carol Jones: And on Sunday?"


def test_a_notification_names_the_customer_once() -> None:
    words = Page(html(NOTICE)).words.replace(str(parsed(NOTICE)["Subject"]), "")  # the page's title
    assert words.count("Carol Jones") == 1
    assert plain(NOTICE).count("Carol Jones") == 1
    # A colleague's message, and all earlier ones, name who wrote them.
    asked = Quoted("Carol Jones", "Is my bike ready?", NOON_MS)
    again = replace(NOTICE, history=(Quoted("Alice", "Not yet.", NOON_MS), asked))
    assert Page(html(again)).words.count("Alice") == 1


def test_names_are_legible_on_every_colour_and_emails_use_the_widget_colours() -> None:
    light, dark = html(replace(REPLY, color="#ffcc00")), html(replace(REPLY, color="#0a5c36"))
    assert "color:#000000;background-color:#ffcc00" in light
    assert "color:#ffffff;background-color:#0a5c36" in dark
    assert f"background-color:{DEFAULT_COLOR}" in html(REPLY)
    panel = (Path(shopbell.__file__).parent / "web" / "widget" / "panel.css").read_text()
    ours = set(re.findall(r"#[0-9a-f]{6}", light)) - {"#ffcc00", "#000000", "#ffffff"}
    ours -= {palette("#ffcc00").on_light, palette("#ffcc00").on_dark}
    assert {color for color in ours if color not in panel} == set()


def test_long_reference_lists_keep_their_ends() -> None:
    references = [f"<{number}@customers.example>" for number in range(100)]
    kept = parsed(replace(REPLY, references=references))["References"].split()
    assert (len(kept), kept[0], kept[-1]) == (20, references[0], references[-1])


def test_an_invalid_message_id_is_left_out() -> None:
    message = parsed(replace(REPLY, references=("a b", "<x@y>\r\nBcc: z", HIS), in_reply_to="<x y>"))
    assert message["References"] == HIS
    assert "In-Reply-To" not in message


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</title></style></p><iframe src=javascript:alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "--=_deadbeef\r\nContent-Type: text/html\r\n\r\n<b>",
    "<!--",
    "&lt;b&gt;",
)


@pytest.mark.parametrize("field", ["text", "author", "attachment_name", "business_name", "customer_name", "subject"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_becomes_markup(hostile: str, field: str) -> None:
    harmless = "harmless"

    def with_text(text: str) -> EmailContent:
        said = {"author": "Alice", "text": "Hello", "attachment_name": "a.pdf"}
        letter = replace(REPLY, purpose=Purpose.BUSINESS_NOTICE)
        if field not in said:
            return replace(letter, **{field: text})  # type: ignore[arg-type]
        quoted = Quoted(at_ms=NOON_MS, **(said | {field: text}))  # type: ignore[arg-type]
        return replace(letter, messages=(quoted,), history=(quoted,))

    message = parsed(with_text(hostile))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    page, expected = Page(html(with_text(hostile))), Page(html(with_text(harmless)))
    lines = [tag for tag, _ in page.elements if tag != "br"]
    assert lines == [tag for tag, _ in expected.elements if tag != "br"]
    assert page.links == expected.links


def test_the_button_colour_is_valid() -> None:
    assert "background-color:#0a5c36;" in html(replace(REPLY, color="#0a5c36"))
    assert "url(" not in html(replace(REPLY, color="red;background:url(https://stranger.example)"))


def test_the_html_loads_nothing_and_is_readable_in_dark_mode() -> None:
    source = html(REPLY)
    assert not re.search(r"<(img|link|script|iframe|object|embed)|url\(|@import", source)
    assert '<meta name="color-scheme" content="light dark">' in source
    assert "prefers-color-scheme: dark" in source


def test_every_visible_character_is_kept() -> None:
    text = "🚲 مرحبا \u200f עברית ½ \t tab\n.\n..\nFrom me\n-- \n" + "x" * 3_000 + "\n" + "é" * 3_000
    shown = plain(replace(REPLY, messages=(Quoted("Alice", text, NOON_MS),)))
    assert text in shown
    assert "\0" not in plain(replace(REPLY, messages=(Quoted("Alice", "a\0\x07\ud800b", NOON_MS),)))


def test_an_invalid_address_or_link_is_refused() -> None:
    for wrong in (
        {"recipient": "carol"},
        {"reply_to": "a b"},
        {"message_id": "a b"},
        {"unsubscribe_url": "https://x/\r\n"},
    ):
        with pytest.raises(ValueError, match="must be"):
            compose(replace(REPLY, **wrong))  # type: ignore[arg-type]
