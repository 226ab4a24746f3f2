"""Messages that did not arrive, or are not sent yet, are sent again or changed, and never twice by mistake."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect
from test_inbox_answering import composer
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


def test_a_planned_message_that_is_changed_keeps_its_file(desk: Desk, tmp_path: Path) -> None:
    price_list = tmp_path / "price list.txt"
    price_list.write_text("1 bell: 20")
    thread = desk.write("What does a bell cost?")
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach a file").click()
    chooser.value.set_files([price_list])
    expect(page.get_by_role("button", name="Send to")).to_be_enabled()
    page.get_by_role("button", name="More ways to send").click()
    page.get_by_role("menuitem", name="Send later…").click()
    page.get_by_role("option", name="In one hour").click()
    planned = page.locator(".msg.us", has_text="Will be sent")
    expect(planned).to_be_visible()
    page.reload()
    page.get_by_role("tab", name="Note").click()
    planned.get_by_role("button", name="Edit").click()
    expect(planned).to_have_count(0)
    expect(page.get_by_role("tab", name="Reply")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".files li")).to_contain_text("price list.txt")
    composer(page).fill("Here is our price list.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us", has_text="Here is our price list.").locator(".file")).to_contain_text("price list")


def test_a_planned_message_stays_if_its_file_cannot_be_read(desk: Desk, tmp_path: Path) -> None:
    price_list = tmp_path / "price list.txt"
    price_list.write_text("1 bell: 20")
    thread, tab = desk.write("What does a bell cost?"), desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach a file").click()
    chooser.value.set_files([price_list])
    expect(page.get_by_role("button", name="Send to")).to_be_enabled()
    page.get_by_role("button", name="More ways to send").click()
    page.get_by_role("menuitem", name="Send later…").click()
    page.get_by_role("option", name="In one hour").click()
    planned = page.locator(".msg.us", has_text="Will be sent")
    tab.context.route("**/api/attachments/*", lambda route: route.fulfill(status=503, json={"detail": "No."}))
    planned.get_by_role("button", name="Edit").click()
    expect(page.locator(".toast")).to_contain_text("Something went wrong.")
    expect(planned).to_be_visible()
    tab.forgive("status of 503")
