"""A bot's day through the client, against the real server: read, answer, hand on."""

from collections.abc import Iterator

import pytest

from harness.shop import Shop
from shopbell.client import Conflict, NotFound, Shopbell, ValidationFailed


@pytest.fixture
def thread_id(shop: Shop) -> str:
    """A conversation that a customer of Acme's has begun."""
    return shop.send()


@pytest.fixture
def bot(shop: Shop) -> Iterator[Shopbell]:
    """Acme's program."""
    with Shopbell(shop.server.url, shop.world.token) as client:
        yield client


def test_a_bot_answers_and_the_customer_waits_no_more(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    message_id = bot.send_message(thread_id, "Hello, I am a bot.")
    last = shop.messages(thread_id)[-1]
    assert (str(last["id"]), last["body"]) == (message_id, "Hello, I am a bot.")
    assert shop.thread(thread_id)["status"] == "replied"


def test_an_internal_message_leaves_the_customer_waiting(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    bot.send_message(int(thread_id), "A regular.", internal=True)
    assert shop.messages(thread_id)[-1]["body"] == "A regular."
    assert shop.thread(thread_id)["status"] == "waiting"


def test_a_bot_that_has_not_read_a_colleagues_answer_sends_nothing(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    seen = str(shop.messages(thread_id)[-1]["id"])
    bot.send_message(thread_id, "Yes, until six.", last_seen_message_id=seen)
    with pytest.raises(Conflict):
        bot.send_message(thread_id, "No.", last_seen_message_id=seen)
    assert [message["body"] for message in shop.messages(thread_id)][1:] == ["Yes, until six."]


def test_one_key_of_the_bots_is_one_answer(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    first, second = (bot.send_message(thread_id, "Hello", idempotency_key=f"key-{thread_id}") for _ in range(2))
    assert first == second
    assert len(shop.messages(thread_id)) == 2


def test_text_and_template_at_once_are_refused(bot: Shopbell, thread_id: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        bot.send_message(thread_id, "Hello", content_sid="HX1")
    assert [fault.code for fault in refused.value.errors] == ["exactly_one_required"]


def test_a_conversation_of_others_is_not_found(shop: Shop, thread_id: str) -> None:
    with Shopbell(shop.server.url, shop.world.globex_token) as stranger:
        with pytest.raises(NotFound):
            stranger.send_message(thread_id, "Hello")
        with pytest.raises(NotFound):
            stranger.update_thread_status(thread_id, "resolved")


def test_a_status_is_set(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    bot.update_thread_status(thread_id, "resolved")
    assert shop.thread(thread_id)["status"] == "resolved"
