"""Webhooks receive the delivery status of messages."""

import json
from pathlib import Path
from typing import Any

from harness.failing_receivers import Receivers
from harness.waiting import wait_until


def test_a_webhook_gets_the_delivery_status_of_a_message_without_its_text(open_post: Any, tmp_path: Path) -> None:
    receivers = Receivers(tmp_path)
    with open_post(outbound_allow="127.0.0.0/8") as post:
        receiver = receivers.add()
        webhook = {"url": receiver.url, "subscribedEvents": ["deliveries"]}
        assert post.shop.post(webhook, path="/api/webhooks").status_code == 200
        thread_id = post.shop.send()
        message_id = post.reply(thread_id, "canary")
        post.wait_for_delivery(message_id, "EMAIL", "sent")
        wait_until(lambda: receiver.requests, lambda: post.shop.server.log)
        (request,) = receiver.requests
        body = json.loads(request.body)
        customer_id = str(post.shop.customer_of(thread_id))
    receivers.close()
    assert body["eventType"] == "delivery"
    assert body["data"] == {
        "customerThreadId": int(thread_id),
        "businessId": int(post.shop.world.boston),
        "organizationId": int(post.shop.world.acme),
        "customerId": customer_id,
        "messageId": int(message_id),
        "messageExternalId": None,
        "channel": "EMAIL",
        "audience": "customer",
        "state": "sent",
        "reason": None,
        "threadSequence": 2,
        "actor": {"type": "system", "id": None},
    }
