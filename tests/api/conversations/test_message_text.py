"""The message text: what is refused, and that the rest is stored as sent."""

import pytest

from harness.shop import Shop, codes

MAX_CHARACTERS = 10_000


@pytest.mark.parametrize("blank", ["", " ", "\n", " \t\r\n ", "\u00a0", "\u2003\u3000", "\u2028"])
def test_a_message_of_only_white_space_is_blank(shop: Shop, blank: str) -> None:
    assert codes(shop.refused(message=blank)) == [("#/message", "blank")]


@pytest.mark.parametrize("wrong", [5, True, 1.5, [], {}, ["hello"]])
def test_a_message_that_is_not_a_string_is_refused(shop: Shop, wrong: object) -> None:
    (fault,) = shop.refused(message=wrong)
    assert (fault["pointer"], fault["code"], fault["expected"]) == ("#/message", "type", "string")


@pytest.mark.parametrize("text", ["x", "x" * MAX_CHARACTERS, "é" * MAX_CHARACTERS, "😀" * MAX_CHARACTERS])
def test_a_message_of_1_to_10000_characters_is_stored(shop: Shop, text: str) -> None:
    (message,) = shop.messages(shop.send(message=text))
    assert message["body"] == text


def test_a_message_of_10001_characters_is_too_long(shop: Shop) -> None:
    (fault,) = shop.refused(message="x" * (MAX_CHARACTERS + 1))
    assert (fault["pointer"], fault["code"], fault["maxLength"]) == ("#/message", "too_long", MAX_CHARACTERS)


def test_white_space_around_a_message_is_kept(shop: Shop) -> None:
    (message,) = shop.messages(shop.send(message="  \n hello \t\r\n "))
    assert message["body"] == "  \n hello \t\r\n "


@pytest.mark.parametrize("text", ["\0", "hello\0", "a\0b"])
def test_a_message_with_a_null_character_is_refused(shop: Shop, text: str) -> None:
    assert codes(shop.refused(message=text)) == [("#/message", "invalid_character")]


@pytest.mark.parametrize(
    "text",
    [
        "😀👩‍👩‍👧‍👦🇫🇷",
        "مرحبا، أحتاج إلى مساعدة",
        "שלום \u202eעולם\u202c",
        "你好，我需要帮助",
        "e\u0301 is not é",  # no normal form is applied
        "\ufeff with a byte order mark",
        "control \x01\x02\x1b[31m\x7f characters",
        "\ufffe\uffff non-characters \U0010ffff",
        "zero\u200bwidth\u200d",
        "<script>alert('1')</script> & \"quotes\" \\ / ' ; DROP TABLE messages; --",
        "%s %(x)s {0} ${x} \\u0000 :body ?",
    ],
)
def test_any_other_text_is_stored_unchanged(shop: Shop, text: str) -> None:
    (message,) = shop.messages(shop.send(message=text))
    assert message["body"] == text


def test_the_command_line_shows_a_text_as_it_was_sent(shop: Shop) -> None:
    text = "שלום 😀\n\u202e e\u0301 \x1b[31m"
    thread = shop.server.installation.cli("threads", "show", shop.send(message=text))
    assert [message["body"] for message in thread["messages"]] == [text]
