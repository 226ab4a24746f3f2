"""An employee learns of a message that the server held and then refused to send."""

import pytest
from playwright.sync_api import expect
from test_inbox_answering import WITH_LASTING_TOASTS
from test_inbox_answering import desk as desk

from harness.employees import Hired
from harness.inbox_desk import Desk, expect_order, row
from harness.late import settle
from harness.waiting import wait_until
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


def refuse(desk: Desk, alice: Hired, thread: str) -> str:
    """Let the server refuse a message of an employee, because a program replies before it is due."""
    body = {
        "customerThreadId": thread,
        "text": "We will look into it.",
        "lastSeenMessageId": str(desk.shop.messages(thread)[-1]["id"]),
        "sendAt": now_ms() + HOUR_MS,
    }
    planned: str = alice.browser.call("/api/scheduled-messages", body).json()["scheduledMessageId"]
    desk.reply(thread)
    due = "UPDATE scheduled_messages SET send_at_ms = :now WHERE id = :id"
    desk.shop.database.change(due, now=now_ms(), id=int(planned))
    state = f"SELECT state FROM scheduled_messages WHERE id = {planned}"
    wait_until(lambda: desk.shop.database.value(state) == "refused", lambda: "it was not refused")
    return planned


def test_rows_with_a_refused_message_of_the_employee_are_marked(desk: Desk) -> None:
    thread, other = desk.write("Hello?"), desk.write("Hello?")
    alice, ben = desk.hire(), desk.hire("Ben Carter")
    planned = refuse(desk, alice, thread)
    refuse(desk, ben, other)
    page = desk.open(alice, "inbox/open")
    mark = row(page, thread).get_by_text("Not sent")
    expect(mark).to_be_visible()
    assert row(page, other).get_by_text("Not sent").count() == 0
    desk.create(f"/api/scheduled-messages/{planned}/cancel")
    expect(mark).to_have_count(0)


def test_a_message_that_is_refused_later_is_told_to_its_author_only(desk: Desk) -> None:
    alice = desk.hire()
    tab = desk.tab(alice)
    tab.context.add_init_script(WITH_LASTING_TOASTS)
    page = desk.open_whole(tab, "inbox/open")
    thread, first = desk.write("Hello?", "Carol Jones"), desk.write("Hello?", "Dave Miller")
    expect_order(page, thread, first)  # so the stream is there
    refuse(desk, desk.hire("Ben Carter"), first)
    refuse(desk, alice, thread)
    expect(row(page, thread).get_by_text("Not sent")).to_be_visible()
    expect(page.locator(".toast")).to_contain_text(
        "Your message to Carol Jones was not sent: a colleague answered first"
    )
    settle(page)
    assert row(page, first).get_by_text("Not sent").count() == 0
