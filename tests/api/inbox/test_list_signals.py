"""The worker process updates the list, and streams name the changed entries."""

from typing import Any

from harness.employees import hire
from harness.inbox import listed
from harness.shop import Shop
from harness.streams import Listening, following, post


def heard_of(stream: Listening, thread_id: str) -> dict[str, Any]:
    """The next signal that names a conversation."""
    while True:
        data: dict[str, Any] = stream.next("inbox")["data"]
        if thread_id in data["customerThreadIds"]:
            return data


def test_an_entry_can_be_read_once_the_stream_names_it(own_shop: Shop) -> None:
    shop, alice = own_shop, hire(own_shop)
    with following(shop) as stream:
        stream.until_ready()
        thread_id = shop.send()
        assert heard_of(stream, thread_id)["businessId"] == shop.world.boston
        (entry,) = listed(shop, alice, customerThreadId=thread_id)
        assert entry["status"] == "waiting"
        post(shop, "/api/update-thread-status", customerThreadId=thread_id, status="resolved")
        while entry["status"] != "resolved":  # a signal of the message may come after it
            heard_of(stream, thread_id)
            (entry,) = listed(shop, alice, customerThreadId=thread_id)


def test_both_businesses_get_the_signal_of_a_transfer(own_shop: Shop) -> None:
    shop = own_shop
    with following(shop, businessId=shop.world.boston) as boston, following(shop, businessId=shop.world.paris) as paris:
        for stream in (boston, paris):
            stream.until_ready()
        thread_id = shop.send()
        heard_of(boston, thread_id)
        post(shop, "/api/transfer-customer-thread", customerThreadId=thread_id, businessId=shop.world.paris)
        for stream in (boston, paris):
            heard_of(stream, thread_id)
    assert [each["businessId"] for each in listed(shop, customerThreadId=thread_id)] == [shop.world.paris]
