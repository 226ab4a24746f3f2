"""What an employee does last counts, in whatever order requests and responses arrive."""

from playwright.sync_api import Route, expect
from test_inbox_list_actions import FIVE_SECONDS_ON_CALL, toast
from test_inbox_list_actions import desk as desk

from harness.inbox_desk import Desk, expect_focus, expect_order, row
from harness.late import first_of, settle

BULK = "**/api/inbox/bulk"


def test_what_is_marked_as_unread_while_it_is_marked_as_read_is_unread(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    page = desk.open(alice)
    expect_order(page, thread)
    reads: list[Route] = []
    bulk: list[str] = []
    page.route("**/api/inbox/read", lambda route: reads.append(route))
    page.on("request", lambda request: bulk.append(request.url) if request.url.endswith("/bulk") else None)
    with page.expect_request("**/api/inbox/read"):
        row(page, thread).click()
    page.locator(".talk h2").focus()
    page.keyboard.press("u")
    settle(page)
    assert not bulk, "it was sent before the server has the other"
    first_of(reads, page).continue_()
    expect(toast(page, "marked as unread")).to_be_visible()
    answer = alice.browser.get(f"/api/inbox/threads?customerThreadId={thread}")
    assert [each["unread"] for each in answer.json()["threads"]] == [True]


def test_a_message_that_comes_after_those_that_were_read_is_unread_at_once(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Hello?", email=email)
    tab = desk.tab(desk.hire())
    tab.context.add_init_script(FIVE_SECONDS_ON_CALL)
    page = tab.open(f"{desk.url}/inbox/needs-reply/{thread}")
    expect(row(page, thread)).not_to_contain_text("unread")
    page.locator(".talk h2").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Select a conversation")).to_be_visible()
    desk.write("Are you there?", email=email)
    expect(row(page, thread)).to_contain_text("unread")


def test_an_undo_leaves_what_was_done_since(desk: Desk) -> None:
    first, second = desk.write("One", "Emma Novak"), desk.write("Two")
    page = desk.open(desk.hire())
    expect_order(page, first, second)
    page.keyboard.press("j")
    expect_focus(page, first)
    page.keyboard.press("i")
    expect(toast(page, "Emma Novak: assigned to you")).to_be_visible()
    undo: list[Route] = []
    bulk: list[Route] = []
    page.route("**/api/inbox/undo", lambda route: undo.append(route))
    page.route(BULK, lambda route: bulk.append(route))
    with page.expect_request("**/api/inbox/undo"):
        page.keyboard.press("z")
    page.keyboard.press("e")
    expect_order(page, second)
    with page.expect_request(BULK):
        first_of(undo, page).continue_()
    expect(toast(page, "Undone: Emma Novak: assigned to you")).to_be_visible()
    settle(page)
    assert row(page, first).count() == 0
    first_of(bulk, page).continue_()
    expect(toast(page, "Emma Novak: resolved")).to_be_visible()
    expect_order(page, second)
