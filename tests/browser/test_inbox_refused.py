"""An employee learns of a message that the server held and then refused to send."""

import pytest
from playwright.sync_api import expect
from test_inbox_answering import desk as desk

from harness.inbox_desk import Desk
from shopbell.runtime.clock import now_ms

HOUR_MS = 3_600_000


def plan(desk: Desk, thread: str, text: str = "Your coat is ready.", **fields: object) -> str:
    """Schedule a message as a program, in an hour; returns its id."""
    body = {"customerThreadId": thread, "text": text, "sendAt": now_ms() + HOUR_MS} | fields
    planned: str = desk.create("/api/scheduled-messages", **body)["scheduledMessageId"]
    return planned


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("not-permitted", "its author may no longer write here"),
        ("elsewhere", "another installation may have sent it; check whether it arrived"),
    ],
)
def test_a_refused_message_says_why(desk: Desk, reason: str, text: str) -> None:
    thread = desk.write("Hello?")
    change = "UPDATE scheduled_messages SET state = 'refused', reason = :reason, settled_at_ms = :now WHERE id = :id"
    desk.shop.database.change(change, reason=reason, now=now_ms(), id=int(plan(desk, thread)))
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    expect(page.locator(".msg.us .state")).to_contain_text(f"Not sent: {text}")
