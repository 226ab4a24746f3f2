"""Conversations, events and webhooks through the client and a real server."""

import asyncio
from collections.abc import Iterator

import pytest

from harness.shop import Shop
from shopbell_client import Actor, AsyncShopbell, Conflict, EventsMissed, NotFound, Shopbell, ValidationFailed


@pytest.fixture
def thread_id(shop: Shop) -> str:
    """A conversation that one of Acme's customers started."""
    return shop.send()


@pytest.fixture
def bot(shop: Shop) -> Iterator[Shopbell]:
    """Acme's bot."""
    with Shopbell(shop.server.url, shop.world.token) as client:
        yield client


def test_a_reply_sets_the_status_to_replied(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    message_id = bot.send_message(thread_id, "Hello, I am a bot.")
    last = shop.messages(thread_id)[-1]
    assert (str(last["id"]), last["body"]) == (message_id, "Hello, I am a bot.")
    assert shop.thread(thread_id)["status"] == "replied"


def test_an_internal_note_leaves_the_status_waiting(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    bot.send_message(int(thread_id), "A regular.", internal=True)
    assert shop.messages(thread_id)[-1]["body"] == "A regular."
    assert shop.thread(thread_id)["status"] == "waiting"


def test_a_reply_that_missed_another_reply_is_refused(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    seen = str(shop.messages(thread_id)[-1]["id"])
    with Shopbell(shop.server.url, shop.world.second_token) as colleague:
        colleague.send_message(thread_id, "Yes, until six.", last_seen_message_id=seen)
    with pytest.raises(Conflict):
        bot.send_message(thread_id, "No.", last_seen_message_id=seen)
    assert [message["body"] for message in shop.messages(thread_id)][1:] == ["Yes, until six."]


def test_two_calls_with_the_same_key_send_one_reply(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    first, second = (bot.send_message(thread_id, "Hello", idempotency_key=f"key-{thread_id}") for _ in range(2))
    assert first == second
    assert len(shop.messages(thread_id)) == 2


def test_text_and_template_together_are_refused(bot: Shopbell, thread_id: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        bot.send_message(thread_id, "Hello", content_sid="HX1")
    assert [error.code for error in refused.value.errors] == ["exactly_one_required"]


def test_another_organizations_conversation_is_not_found(shop: Shop, thread_id: str) -> None:
    with Shopbell(shop.server.url, shop.world.globex_token) as stranger:
        with pytest.raises(NotFound):
            stranger.send_message(thread_id, "Hello")
        with pytest.raises(NotFound):
            stranger.update_thread_status(thread_id, "resolved")


def test_the_status_of_a_conversation_is_set(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    bot.update_thread_status(thread_id, "resolved")
    assert shop.thread(thread_id)["status"] == "resolved"


def test_messages_are_listed_in_order_with_internal_notes(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    message_id = bot.send_message(thread_id, "Hello, I am a bot.")
    bot.send_message(thread_id, "A regular.", internal=True)
    said = list(bot.messages(thread_id, page_size=1))
    assert [(message.sequence, message.from_customer, message.internal) for message in said] == [
        (1, True, False),
        (2, False, False),
        (3, False, True),
    ]
    assert (said[1].id, said[1].text, said[1].attachment) == (message_id, "Hello, I am a bot.", None)
    assert [message.text for message in bot.messages(thread_id, after_sequence=2)] == ["A regular."]
    assert "bot" not in repr(said[1])


def test_conversations_are_filtered_by_customer_status_and_time(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    seen = bot.thread_details(thread_id)
    assert (seen.id, seen.business_id, seen.customer_channel) == (thread_id, shop.world.boston, "WEB")
    assert (seen.status, seen.is_messaging_window_open, seen.last_sequence) == ("waiting", True, 1)
    assert list(bot.threads(customer_id=seen.customer_id)) == [seen]
    assert list(bot.threads(customer_id=seen.customer_id, status="resolved")) == []
    assert list(bot.threads(customer_id=seen.customer_id, updated_since_ms=seen.updated_at_ms + 1)) == []


def test_conversations_are_listed_across_pages(shop: Shop, bot: Shopbell) -> None:
    begun = [shop.send(businessId=shop.world.nowhere) for _ in range(5)]
    found = [thread.id for thread in bot.threads(business_id=shop.world.nowhere, page_size=2)]
    assert found[:5] == begun[::-1]
    assert len(set(found)) == len(found)


def test_the_asynchronous_client_lists_conversations_across_pages(shop: Shop) -> None:
    async def found() -> list[str]:
        async with AsyncShopbell(shop.server.url, shop.world.token) as client:
            return [thread.id async for thread in client.threads(business_id=shop.world.nowhere, page_size=2)]

    begun = [shop.send(businessId=shop.world.nowhere) for _ in range(5)]
    assert asyncio.run(found())[:5] == begun[::-1]


def test_a_conversation_is_transferred_once(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    bot.transfer_thread(thread_id, shop.world.paris)
    assert bot.thread_details(thread_id).business_id == shop.world.paris
    with pytest.raises(Conflict):
        bot.transfer_thread(thread_id, shop.world.paris)


def test_a_conversation_is_assigned_and_unassigned(bot: Shopbell, thread_id: str) -> None:
    alice = bot.create_employee("Alice", email=f"alice-{thread_id}@example.com")
    assert alice in list(bot.employees(active=True, page_size=1))
    bot.assign_thread(thread_id, alice.id)
    assert bot.thread_details(thread_id).assignee_user_id == alice.id
    bot.send_message(thread_id, "Alice here.", employee_user_id=alice.id)
    assert list(bot.messages(thread_id))[-1].employee_user_id == alice.id
    bot.assign_thread(thread_id, None)
    assert bot.thread_details(thread_id).assignee_user_id is None
    bot.update_employee(alice.id, name="Alice Miller")
    bot.deactivate_employee(alice.id)
    (left,) = [each for each in bot.employees(active=False) if each.id == alice.id]
    assert (left.name, left.active) == ("Alice Miller", False)
    assert alice.id not in [each.id for each in bot.employees(active=True)]


def test_a_template_is_created_sent_and_deleted(bot: Shopbell, thread_id: str) -> None:
    made = bot.create_template("Ready", "Your order is ready.", content_sid=f"HX{thread_id}")
    assert made in list(bot.templates(page_size=1))
    assert made.content_sid in [each.content_sid for each in bot.whatsapp_templates(thread_id)]
    bot.send_message(thread_id, content_sid=made.content_sid)
    assert list(bot.messages(thread_id))[-1].text == "Your order is ready."
    bot.delete_template(made.id)
    assert made not in list(bot.templates())


def test_a_business_is_created_changed_and_deactivated(shop: Shop, bot: Shopbell) -> None:
    made = bot.create_business("Acme Lyon", region="FR", phone_number="04 72 00 00 00")
    assert (made.name, made.locale, made.phone_number, made.active) == ("Acme Lyon", "en", "+33472000000", True)
    bot.update_business(made.id, locale="fr-FR")
    bot.deactivate_business(made.id)
    closed = bot.business(made.id)
    assert (closed.locale, closed.active) == ("fr-FR", False)
    assert closed in list(bot.businesses(page_size=2))


def test_events_are_read_once_and_in_order(shop: Shop, bot: Shopbell, thread_id: str) -> None:
    *_, last = bot.events()
    bot.send_message(thread_id, "Yes.")
    bot.update_thread_status(thread_id, "resolved")
    # The feed also has events of other conversations, and of background deliveries at any time.
    happened = [
        event
        for event in bot.events(last.position, page_size=1)
        if event.thread_id == thread_id and event.type != "message-delivery"
    ]
    assert [event.type for event in happened] == ["message", "status"]
    assert happened[0].message is not None
    assert (happened[0].message.text, happened[0].message.from_customer) == ("Yes.", False)
    changed = list(bot.events(last.position, types=["status", "transfer"]))
    assert [(event.type, event.actor) for event in changed] == [("status", Actor(type="token", id=shop.world.token_id))]
    assert {event.type for event in bot.events("latest")} <= {"message-delivery"}


def test_a_waiting_feed_reader_receives_new_events_at_once(shop: Shop, thread_id: str) -> None:
    async def wait_and_answer() -> str:
        async with AsyncShopbell(shop.server.url, shop.world.token) as client:
            *_, last = [event async for event in client.events()]
            waiting = client.events(last.position, types=["status"], wait_s=20)
            asked = asyncio.ensure_future(anext(waiting))
            await client.update_thread_status(thread_id, "replied")
            async with asyncio.timeout(60):
                event = await asked
            assert event.thread_id == thread_id
            return event.type

    assert asyncio.run(wait_and_answer()) == "status"


def test_missed_events_raise_an_exception(bot: Shopbell, thread_id: str) -> None:
    *_, last = bot.events()
    with pytest.raises(EventsMissed) as missed:
        next(bot.events(last.position + 1_000_000))
    assert missed.value.last_position >= last.position


def test_a_webhook_is_created_changed_and_deleted(bot: Shopbell) -> None:
    headers = {"Authorization": "Bearer never-to-be-seen"}
    made = bot.create_webhook("https://example.com/webhook", ["messages"], enabled=False, extra_headers=headers)
    assert made.secret.startswith("whsec_")
    assert [(header.name, header.set) for header in made.extra_headers or ()] == [("Authorization", True)]
    assert "whsec" not in repr(made)
    assert bot.webhook(made.id) in bot.webhooks()
    bot.update_webhook(made.id, subscribed_events=["messages", "transfers"], payload_version="flat")
    changed = bot.webhook(made.id)
    assert (changed.subscribed_events, changed.payload_version) == (("messages", "transfers"), "flat")
    secret = bot.rotate_webhook_secret(made.id)
    assert secret.startswith("whsec_")
    assert secret != made.secret
    assert list(bot.deliveries(made.id)) == []
    with pytest.raises(Conflict, match="disabled"):
        bot.replay_deliveries(made.id, since_ms=0)
    bot.delete_webhook(made.id)
    with pytest.raises(NotFound):
        bot.webhook(made.id)


def test_a_test_event_is_listed_as_a_delivery(bot: Shopbell) -> None:
    made = bot.create_webhook("https://example.invalid/webhook", ["messages"])
    delivery_id = bot.test_webhook(made.id)
    (listed,) = bot.deliveries(made.id, event_type="webhook-test", page_size=1)
    assert (listed.id, listed.event_type, listed.thread_id) == (delivery_id, "webhook-test", None)
    assert bot.delivery(made.id, delivery_id).id == delivery_id
    bot.replay_delivery(made.id, delivery_id)
    assert bot.replay_deliveries(made.id, since_ms=0, state="delivered").replayed == 0
    bot.delete_webhook(made.id)
