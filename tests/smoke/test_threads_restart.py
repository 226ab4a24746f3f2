"""Acknowledged messages survive a kill."""

from harness.shop import Shop


def test_acknowledged_messages_survive_a_kill(own_shop: Shop) -> None:
    thread_ids = [own_shop.send(message=f"message {number}") for number in range(20)]
    own_shop.server.kill()
    assert [own_shop.messages(thread_id)[0]["body"] for thread_id in thread_ids] == [
        f"message {number}" for number in range(20)
    ]
    own_shop.server.start()
    thread = own_shop.server.installation.cli("threads", "show", thread_ids[-1])
    assert thread["messages"][0]["body"] == "message 19"
