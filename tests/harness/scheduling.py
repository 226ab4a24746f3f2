"""Schedule messages, and send those that are due."""

from typing import Any

import httpx2

from harness.shop import Shop
from shopbell.inbox import scheduled_sending
from shopbell.inbox.scheduled_messages import Changed
from shopbell.runtime.clock import now_ms

ROUTE = "/api/scheduled-messages"
TEXT = "Your order is ready."


def schedule(shop: Shop, thread_id: str, *, key: str | None = None, token: str = "", **fields: Any) -> httpx2.Response:
    """Schedule a message of a token in five seconds; omits fields that are None."""
    body = {"customerThreadId": thread_id, "text": TEXT, "delayMs": 5_000} | fields
    body = {name: value for name, value in body.items() if value is not None}
    return shop.post(body, token=token, path=ROUTE, headers={"Idempotency-Key": key} if key else None)


def scheduled(shop: Shop, thread_id: str, **fields: Any) -> str:
    """Schedule a message, which must succeed, and return its id."""
    answer = schedule(shop, thread_id, **fields)
    assert answer.status_code == 200, answer.text
    id_: str = answer.json()["scheduledMessageId"]
    return id_


def row(shop: Shop, scheduled_message_id: str) -> dict[str, Any]:
    """The row of a scheduled message."""
    query = "SELECT * FROM scheduled_messages WHERE id = :id"
    (found,) = shop.database.rows(query, id=int(scheduled_message_id))
    return found


def state(shop: Shop, scheduled_message_id: str) -> tuple[str, str | None]:
    """Its state and the reason."""
    found = row(shop, scheduled_message_id)
    return found["state"], found["reason"]


def send_due(shop: Shop, after_ms: int = 5_000) -> list[Changed]:
    """Send what is due so many milliseconds from now."""
    with shop.database.writing() as tx:
        return scheduled_sending.send_due(tx, now_ms=now_ms() + after_ms)


def texts(shop: Shop, thread_id: str) -> list[str]:
    """The texts of the organization's messages in a thread."""
    return [message["body"] for message in shop.messages(thread_id) if not message["from_customer"]]
