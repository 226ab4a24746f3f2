"""Rows of the inbox's list show where an employee has left a draft."""

from playwright.sync_api import APIResponse, Route, expect
from test_inbox_answering import WIDE, composer
from test_inbox_answering import desk as desk

from harness.inbox_desk import Desk, row
from harness.late import first_of


def test_rows_with_a_draft_of_the_employee_are_marked(desk: Desk) -> None:
    thread, other = desk.write("Hello?"), desk.write("Hello?")
    alice = desk.hire()
    office = desk.open(alice, f"inbox/needs-reply/{thread}", WIDE)
    composer(office).fill("Good morn")
    expect(row(office, thread).get_by_text("Draft")).to_be_visible()
    expect(row(office, other).get_by_text("Draft")).to_have_count(0)
    expect(office.get_by_text("Draft kept")).to_be_visible()
    home = desk.open(alice, look=WIDE)
    expect(row(home, thread).get_by_text("Draft")).to_be_visible()
    colleague = desk.hire("Ben Carter")
    colleague.browser.call("/api/inbox/drafts", {"customerThreadId": other, "mode": "note", "text": "Not mine"})
    page = desk.open(colleague, look=WIDE)
    expect(row(page, other).get_by_text("Draft")).to_be_visible()  # so the drafts were read
    expect(row(page, thread).get_by_text("Draft")).to_have_count(0)
    expect(row(office, other).get_by_text("Draft")).to_have_count(0)
    composer(office).fill("")
    expect(row(office, thread).get_by_text("Draft")).to_have_count(0)
    expect(row(home, thread).get_by_text("Draft")).to_have_count(0)


def test_a_draft_that_is_emptied_while_the_drafts_are_read_is_not_marked(desk: Desk) -> None:
    thread, other = desk.write("Hello?"), desk.write("Hello?")
    alice = desk.hire()
    for each in (thread, other):
        draft = {"customerThreadId": each, "mode": "reply", "text": "Good morning"}
        assert alice.browser.call("/api/inbox/drafts", draft).status_code == 200
    tab = desk.tab(alice, WIDE)
    held: list[tuple[Route, APIResponse]] = []
    is_emptied = False

    def hold(route: Route) -> None:
        answer = route.fetch()
        if is_emptied:
            route.fulfill(response=answer)
        else:
            held.append((route, answer))

    tab.context.route("**/api/inbox/drafts?*", hold)
    page = tab.open(f"{desk.url}/inbox/needs-reply/{thread}")
    expect(composer(page)).to_have_value("Good morning")
    first_of(held, page)
    with page.expect_response(lambda one: one.request.method == "POST" and one.url.endswith("/api/inbox/drafts")):
        composer(page).fill("")
    is_emptied = True  # the page may read them once more, when its live stream begins
    for route, answer in held:
        route.fulfill(response=answer)
    expect(row(page, other).get_by_text("Draft")).to_be_visible()
    expect(row(page, thread).get_by_text("Draft")).to_have_count(0)
