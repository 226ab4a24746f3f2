"""A key acts once, and on the conversation that the employee looks at."""

from playwright.sync_api import expect
from test_inbox_list import desk as desk

from harness.inbox_desk import Desk, expect_focus, expect_order
from harness.late import settle


def test_a_held_key_resolves_one_conversation(desk: Desk) -> None:
    first, second, third = desk.write("One"), desk.write("Two"), desk.write("Three")
    page = desk.open(desk.hire())
    expect_order(page, first, second, third)
    page.keyboard.press("j")
    expect_focus(page, first)
    page.keyboard.down("e")
    expect(page.locator(".toast")).to_contain_text("resolved")
    expect_focus(page, second)
    page.keyboard.down("e")  # the browser repeats a key that is down
    page.keyboard.up("e")
    settle(page)
    expect_order(page, second, third)
    assert desk.status(second) == "waiting"


def test_a_held_key_keeps_moving(desk: Desk) -> None:
    first, second, third = desk.write("One"), desk.write("Two"), desk.write("Three")
    page = desk.open(desk.hire())
    expect_order(page, first, second, third)
    for key, last in (("j", third), ("ArrowUp", first)):
        for _ in range(3):
            page.keyboard.down(key)
        page.keyboard.up(key)
        expect_focus(page, last)
