"""The status of a conversation: what sets it and what reopens it."""

from typing import Any

import httpx2
import pytest

from harness.shop import Shop

SEND = "/api/send-message-to-customer-thread"
STATUSES = ["waiting", "replied", "resolved"]


def _customer_writes(shop: Shop, user: dict[str, str]) -> httpx2.Response:
    return shop.post(shop.body(user=user))


def _send(shop: Shop, thread_id: str, **fields: Any) -> httpx2.Response:
    return shop.post({"customerThreadId": thread_id, **fields}, path=SEND)


def _template(shop: Shop) -> str:
    answer = shop.post({"title": "Ready", "text": "Your order is ready."}, path="/api/templates")
    assert answer.status_code == 200, answer.text
    sid: str = answer.json()["contentSid"]
    return sid


WHAT_HAPPENS = {
    "the customer writes": lambda shop, user, thread_id: _customer_writes(shop, user),
    "a visible text": lambda shop, user, thread_id: _send(shop, thread_id, text="Hello"),
    "a note": lambda shop, user, thread_id: _send(shop, thread_id, text="Hello", internal=True),
    "a template": lambda shop, user, thread_id: _send(shop, thread_id, contentSid=_template(shop)),
    "a template as a note": lambda shop, user, thread_id: _send(
        shop, thread_id, contentSid=_template(shop), internal=True
    ),
}
# What each status becomes: waiting, replied, resolved.
BECOMES = {
    "the customer writes": ["waiting", "waiting", "waiting"],
    "a visible text": ["replied", "replied", "replied"],
    "a note": STATUSES,
    "a template": ["replied", "replied", "resolved"],
    "a template as a note": STATUSES,
}


@pytest.mark.parametrize("what", WHAT_HAPPENS)
def test_every_status_transition_matches_the_contract(shop: Shop, what: str) -> None:
    for status, expected in zip(STATUSES, BECOMES[what], strict=True):
        user = {"email": shop.somebody()}
        thread_id = shop.send(user=user)
        body = {"customerThreadId": thread_id, "status": status}
        assert shop.post(body, path="/api/update-thread-status").status_code == 200
        assert shop.thread(thread_id)["status"] == status
        assert WHAT_HAPPENS[what](shop, user, thread_id).status_code == 200
        assert shop.thread(thread_id)["status"] == expected, status
        assert len(shop.messages(thread_id)) == 2


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_every_status_can_be_set_and_is_noted_when_it_changes(shop: Shop, before: str, after: str) -> None:
    thread_id = shop.send()
    for status in (before, after, after):
        body = {"customerThreadId": thread_id, "status": status}
        assert shop.post(body, path="/api/update-thread-status").json() == {"result": "ok"}
    assert shop.thread(thread_id)["status"] == after
    steps = [*(["waiting", before] if before != "waiting" else ["waiting"]), *([after] if after != before else [])]
    noted = "SELECT details FROM events WHERE thread_id = :id AND type = 'status' ORDER BY position"
    details = [row["details"] for row in shop.database.rows(noted, id=int(thread_id))]
    changes = zip(steps[1:], steps, strict=False)
    assert details == [f'{{"status": "{new}", "before": "{old}"}}' for new, old in changes]


def test_a_text_reply_after_a_template_in_a_resolved_conversation_sets_replied(shop: Shop) -> None:
    thread_id = shop.send()
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    assert _send(shop, thread_id, contentSid=_template(shop)).status_code == 200
    assert shop.thread(thread_id)["status"] == "resolved"
    assert _send(shop, thread_id, text="Hello").status_code == 200
    assert shop.thread(thread_id)["status"] == "replied"
