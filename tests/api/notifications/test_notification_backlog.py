"""Delivery results are recorded while other messages are being sent."""

from typing import Any

from harness.waiting import wait_until

MAIL_LEASE_S = 2 * (8 + 2)
TEXT_LEASE_S = 30
COUNT = 25


def test_delivery_results_are_recorded_while_other_messages_queue(open_post: Any) -> None:
    settings = {"smtp_timeout_s": 8, "smtp_connect_timeout_s": 2, "delivery_lease_s": TEXT_LEASE_S}
    with open_post(**settings, poll_interval_s=2) as post:
        thread_id = post.shop.send()
        post.mails.wait_for(1)  # the invitation
        rows = ", ".join(
            f"({post.shop.world.acme}, {number}, {thread_id}, {way}, 'customer', 'link', 'waiting', 0, 1, 1)"
            for number in range(1, 2 * COUNT + 1)
            for way in [f"'SMS', '+1617555{number:04}'" if number % 2 else f"'EMAIL', 'carol{number}@example.com'"]
        )
        columns = "organization_id, id, thread_id, channel, address, audience, purpose, state, attempts, due_at_ms"
        post.shop.database.change(f"INSERT INTO outbound_messages ({columns}, created_at_ms) VALUES {rows}")
        post.shop.send()  # wakes the worker
        wait_until(
            lambda: post.shop.database.value("SELECT count(*) FROM outbound_messages WHERE state = 'waiting'") == 0,
            lambda: post.shop.server.log,
            timeout_s=120,
        )
        sent = post.shop.database.rows("SELECT * FROM outbound_messages WHERE purpose = 'link' AND state = 'sent'")
        assert len(sent) == 2 * COUNT
        began = {row["id"]: row["due_at_ms"] - 1_000 * _lease_s(row["channel"]) for row in sent}
        unsettled = [
            sum(began[other["id"]] <= began[row["id"]] < other["settled_at_ms"] for other in sent) for row in sent
        ]
        assert max(unsettled) < COUNT


def _lease_s(channel: str) -> int:
    return MAIL_LEASE_S if channel == "EMAIL" else TEXT_LEASE_S
