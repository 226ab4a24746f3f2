"""A key acts once, and on the conversation that the employee looks at."""

from playwright.sync_api import Route, expect
from test_inbox_list import desk as desk

from harness.inbox_desk import Desk, expect_focus, expect_order, leave_list, row
from harness.late import first_of, settle


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
    page.keyboard.press("j")
    expect_focus(page, first)
    for key, last in (("j", third), ("ArrowUp", first)):
        for _ in range(2):
            page.keyboard.down(key)
        page.keyboard.up(key)
        expect_focus(page, last)


def test_from_a_conversation_that_is_not_in_the_list_j_leads_to_its_first_row(desk: Desk) -> None:
    first, second, resolved = desk.write("One"), desk.write("Two"), desk.write("Three", "Emma Novak")
    desk.set_status(resolved, "resolved")
    page = desk.open(desk.hire())
    expect_order(page, first, second)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search and commands")).to_be_focused()
    page.keyboard.type("novak")
    expect(page.get_by_role("option", name="Emma Novak")).to_be_visible()
    page.keyboard.press("Enter")
    title = page.locator(".talk h2")
    expect(title).to_have_text("Emma Novak")
    leave_list(page)
    third = desk.write("Four")
    expect(row(page, third)).to_be_visible()
    title.click()
    page.keyboard.press("j")
    page.wait_for_url(f"**/{first}")


def test_what_is_typed_before_a_dialog_is_loaded_does_not_act_on_the_list(desk: Desk) -> None:
    thread = desk.write("One")
    page = desk.open(desk.hire())
    expect_order(page, thread)
    page.keyboard.press("j")
    expect_focus(page, thread)
    code: list[Route] = []
    page.route("**/Dialogs-*.js", lambda route: code.append(route))
    page.keyboard.press("Control+k")
    page.keyboard.type("exchange")  # E would resolve it
    first_of(code, page).continue_()
    expect(page.get_by_role("combobox", name="Search and commands")).to_be_focused()
    page.keyboard.press("Escape")
    expect_order(page, thread)
    assert desk.status(thread) == "waiting"


def test_keys_act_again_after_a_dialog_could_not_be_loaded(desk: Desk) -> None:
    first, second = desk.write("One"), desk.write("Two")
    tab = desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox")
    expect_order(page, first, second)
    page.route("**/Dialogs-*.js", lambda route: route.abort())
    page.keyboard.press("Control+k")
    expect(page.locator(".toast")).to_be_visible()
    tab.forgive("ERR_FAILED")
    page.keyboard.press("j")
    expect_focus(page, first)


def test_keys_act_on_the_row_whose_checkbox_was_clicked(desk: Desk) -> None:
    opened, clicked = desk.write("One"), desk.write("Two")
    page = desk.open(desk.hire(), f"inbox/needs-reply/{opened}")
    expect_order(page, opened, clicked)
    row(page, clicked).hover()
    box = page.get_by_role("checkbox").nth(1)
    box.check()
    box.uncheck()
    page.keyboard.press("x")
    expect(box).to_be_checked()
    page.keyboard.press("x")
    page.keyboard.press("e")
    expect_order(page, opened)
    assert desk.status(opened) == "waiting"
