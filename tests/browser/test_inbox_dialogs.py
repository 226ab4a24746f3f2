"""A dialog of the inbox closes when the employee means it, and only that dialog."""

from playwright.sync_api import Page, expect
from test_inbox_list import desk as desk

from harness.inbox_desk import Desk, expect_focus, expect_order
from harness.late import settle

CHOOSE_AND_TYPE_S = """async option => {
    option.click()
    for (let turns = 0; turns < 20; turns++) await null // browsers run keys that wait before other tasks
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "s", code: "KeyS", bubbles: true }))
}"""


def at_first_row(desk: Desk) -> tuple[Page, str]:
    """The list, with the focus on its only row."""
    thread = desk.write("One")
    page = desk.open(desk.hire())
    expect_order(page, thread)
    page.keyboard.press("j")
    expect_focus(page, thread)
    return page, thread


def test_the_text_of_a_new_conversation_is_lost_only_by_its_button(desk: Desk) -> None:
    page, _ = at_first_row(desk)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="New conversation")
    text = dialog.get_by_label("Message")
    text.fill("Your order is ready.")
    page.mouse.click(5, 5)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    settle(page)
    expect(text).to_have_value("Your order is ready.")
    expect(text).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_a_dialog_closes_by_a_click_outside_but_not_by_one_that_begins_in_it(desk: Desk) -> None:
    page, thread = at_first_row(desk)
    for key, name in (("a", "Assign to"), ("c", "New conversation")):
        page.keyboard.press(key)
        dialog = page.get_by_role("dialog", name=name)
        expect(dialog).to_be_visible()
        box = dialog.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 8, box["y"] + box["height"] - 3)  # its padding
        dialog.get_by_role("combobox").last.hover()
        page.mouse.down()
        page.mouse.move(5, 5)
        page.mouse.up()
        settle(page)
        expect(dialog).to_be_visible()
        page.mouse.click(5, 5)
        expect(dialog).to_have_count(0)
        expect_focus(page, thread)


def test_an_answered_question_does_not_close_the_next_one(desk: Desk) -> None:
    page, _ = at_first_row(desk)
    page.keyboard.press("a")
    page.get_by_role("option", name="No one").evaluate(CHOOSE_AND_TYPE_S)
    settle(page)
    expect(page.get_by_role("dialog", name="Snooze until")).to_be_visible()


def test_escape_does_not_dismiss_that_the_session_has_ended(desk: Desk) -> None:
    alice = desk.hire()
    tab = desk.tab(alice)
    page = tab.open(f"{desk.url}/inbox")
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    alice.browser.submit("/sign-out")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    settle(page)
    expect(dialog).to_be_visible()
    tab.forgive("status of 401")
