"""Messages that did not arrive are sent again, and never twice by mistake."""

from playwright.sync_api import Locator, Page, expect
from test_inbox_composer import desk as desk

from harness.inbox_desk import Desk
from harness.sent_messages import wait_until_decided
from harness.shop import Shop


def come_back(shop: Shop, text: str) -> None:
    """Let the emails with a text come back."""
    wait_until_decided(shop)
    found = "SELECT organization_id, id, thread_id, sequence FROM messages WHERE body = :text"
    for each in shop.database.rows(found, text=text):
        shop.database.change("DELETE FROM message_deliveries WHERE message_id = :id", id=each["id"])
        shop.database.change(
            "INSERT INTO message_deliveries (organization_id, message_id, channel, audience, thread_id, sequence, "
            "state, reason, updated_at_ms) VALUES (:organization_id, :id, 'EMAIL', 'customer', :thread_id, "
            ":sequence, 'failed', 'returned', 1)",
            **each,
        )


def again(page: Page) -> Locator:
    """The buttons that send a message again."""
    return page.locator(".state.failed").get_by_role("button", name="Try again")


def bodies(desk: Desk, thread: str) -> list[str]:
    """The texts of our messages, as the database has them."""
    return [str(each["body"]) for each in desk.shop.messages(thread) if not each["from_customer"]]


def test_a_message_that_came_back_is_sent_again_once_each_time(desk: Desk) -> None:
    thread = desk.write("Hello?")
    text = f"The bell of {thread} is ready."
    desk.reply(thread, text)
    come_back(desk.shop, text)
    alice = desk.hire()
    page = desk.open(alice, f"inbox/open/{thread}")
    again(page).dblclick()
    sent = page.locator(".msg.us", has_text=text)
    expect(sent).to_have_count(2)
    expect(again(page)).to_have_count(0)
    expect(sent.last.locator(".state")).to_have_text("Sent")
    expect(again(page)).to_have_count(0)
    page.reload()
    expect(sent).to_have_count(2)
    expect(again(page)).to_have_count(0)
    assert bodies(desk, thread) == [text, text]
    come_back(desk.shop, text)
    page.reload()
    expect(sent.last.get_by_role("button", name="Try again")).to_be_visible()
    expect(again(page)).to_have_count(1)  # at the last attempt
    again(page).click()
    expect(sent.last.locator(".state")).to_have_text("Sent")
    expect(sent).to_have_count(3)
