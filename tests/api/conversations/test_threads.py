"""A message's thread, the thread's status and the message's event."""

import time

import pytest

from harness.shop import HELLO, Shop


def test_a_second_message_lands_in_the_same_thread(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    first = shop.send(user=user, message="first")
    second = shop.send(user=user, message="second")
    assert first == second
    assert [(row["sequence"], row["body"]) for row in shop.messages(first)] == [(1, "first"), (2, "second")]
    assert shop.thread(first)["last_sequence"] == 2


def test_sending_the_same_text_twice_stores_two_messages(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    assert shop.send(user=user) == shop.send(user=user)
    assert [row["body"] for row in shop.messages(shop.send(user=user))] == [HELLO] * 3


def test_a_thread_belongs_to_one_customer_and_one_business(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread = shop.thread(shop.send(user=user, businessId=shop.world.paris))
    assert str(thread["business_id"]) == shop.world.paris
    assert str(thread["organization_id"]) == shop.world.acme
    assert thread["channel"] == "WEB"


def test_a_new_thread_is_waiting(shop: Shop) -> None:
    assert shop.thread(shop.send())["status"] == "waiting"


@pytest.mark.parametrize("status", ["waiting", "replied", "resolved"])
def test_a_customers_message_sets_the_thread_to_waiting_and_reopens_it(shop: Shop, status: str) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    assert shop.database.change("UPDATE threads SET status = :status WHERE id = :id", status=status, id=int(thread_id))
    assert shop.send(user=user) == thread_id
    assert shop.thread(thread_id)["status"] == "waiting"
    assert len(shop.messages(thread_id)) == 2


def test_a_refused_message_reopens_nothing(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    shop.database.change("UPDATE threads SET status = 'resolved' WHERE id = :id", id=int(thread_id))
    shop.refused(user=user, message="")
    assert shop.thread(thread_id)["status"] == "resolved"


def test_a_message_has_its_author_visibility_and_time(shop: Shop) -> None:
    before_ms = int(time.time() * 1_000)
    (message,) = shop.messages(shop.send())
    assert message["from_customer"]
    assert not message["internal"]
    assert before_ms - 1_000 <= message["created_at_ms"] <= int(time.time() * 1_000) + 1_000


def test_each_message_creates_one_event_with_its_id(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(user=user)
    shop.send(user=user)
    events = shop.database.rows("SELECT * FROM events WHERE thread_id = :id ORDER BY position", id=int(thread_id))
    assert [event["message_id"] for event in events] == [message["id"] for message in shop.messages(thread_id)]
    for event in events:
        assert event["type"] == "message"
        assert str(event["organization_id"]) == shop.world.acme
        assert str(event["business_id"]) == shop.world.boston
        assert event["customer_id"] == shop.customer_of(thread_id)


def test_the_command_line_shows_the_thread_with_all_its_messages_in_order(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    texts = [f"message {number}" for number in range(12)]
    (thread_id,) = {shop.send(user=user, message=text) for text in texts}
    thread = shop.server.installation.cli("threads", "show", thread_id)
    assert thread["id"] == thread_id
    assert thread["status"] == "waiting"
    assert [message["body"] for message in thread["messages"]] == texts
    assert [message["sequence"] for message in thread["messages"]] == list(range(1, 13))
    ids = [message["id"] for message in thread["messages"]]
    assert ids == [str(row["id"]) for row in shop.messages(thread_id)]
    assert all(message["fromCustomer"] is True for message in thread["messages"])
