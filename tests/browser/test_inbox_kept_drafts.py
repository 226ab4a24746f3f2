"""What an employee has written stays in the browser until the server has it."""

from playwright.sync_api import Page, Route, expect
from test_inbox_answering import composer
from test_inbox_answering import desk as desk
from test_inbox_draft_order import kept, save_elsewhere

from harness.inbox_desk import Desk
from harness.late import first_of
from harness.waiting import wait_until

WITHOUT_ANSWERS = """
    const fetchNow = window.fetch
    window.fetch = (url, options) =>
        String(url).endsWith("/api/inbox/drafts") ? new Promise(() => {}) : fetchNow(url, options)
"""
"""Drafts are sent and never answered. A request that a route holds would be sent when the page is left."""
KEPT_TEXTS = """() => new Promise(done => {
    const opening = indexedDB.open("shopbell-inbox")
    opening.onsuccess = () => {
        const kept = opening.result.transaction("kept").objectStore("kept")
        const drafts = kept.getAll(IDBKeyRange.bound("draft:", "draft:~"))
        drafts.onsuccess = () => { opening.result.close(); done(drafts.result.map(each => each.text)) }
    }
})"""
AN_HOUR_GOES_BY = """() => new Promise(done => {
    const opening = indexedDB.open("shopbell-inbox")
    opening.onsuccess = () => {
        const change = opening.result.transaction("kept", "readwrite")
        const drafts = change.objectStore("kept").openCursor(IDBKeyRange.bound("draft:", "draft:~"))
        drafts.onsuccess = () => {
            const found = drafts.result
            found?.update({ ...found.value, keptAt: found.value.keptAt - 3_600_000 })
            found?.continue()
        }
        change.oncomplete = () => { opening.result.close(); done() }
    }
})"""


def expect_kept(page: Page, *texts: str) -> None:
    """Wait until the browser keeps these drafts, and no others."""
    wait_until(lambda: page.evaluate(KEPT_TEXTS) == [*texts], lambda: str(page.evaluate(KEPT_TEXTS)))


def test_what_is_typed_while_a_draft_is_being_saved_survives_a_reload(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    page.evaluate(WITHOUT_ANSWERS)
    composer(page).fill("Dear Carol,")
    expect_kept(page, "Dear Carol,")  # its save has begun
    composer(page).fill("Dear Carol, the bell is ready.")
    expect_kept(page, "Dear Carol, the bell is ready.")
    page.reload()
    expect(composer(page)).to_have_value("Dear Carol, the bell is ready.")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    expect_kept(page)


def test_the_end_of_an_earlier_save_leaves_what_the_browser_keeps_since(desk: Desk) -> None:
    thread, tab = desk.write("Hello?"), desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    held: list[Route] = []
    tab.context.route("**/api/inbox/drafts", lambda route: held.append(route))
    for end in (Route.continue_, Route.abort):
        composer(page).fill(f"{end.__name__}: Dear Carol,")
        first = first_of(held, page)
        held.clear()
        composer(page).fill(f"{end.__name__}: Dear Carol, the bell is ready.")
        expect_kept(page, f"{end.__name__}: Dear Carol, the bell is ready.")
        end(first)
        first_of(held, page)  # the next save begins when the first has ended
        expect_kept(page, f"{end.__name__}: Dear Carol, the bell is ready.")
        first_of(held, page).continue_()
        held.clear()
        expect(page.get_by_text("Draft kept")).to_be_visible()
        expect_kept(page)
    tab.forgive("ERR_FAILED")


def test_what_the_employee_changes_elsewhere_later_replaces_what_the_browser_keeps(desk: Desk) -> None:
    thread, alice = desk.write("Hello?"), desk.hire()
    tab = desk.tab(alice)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    page.evaluate(WITHOUT_ANSWERS)
    composer(page).fill("Dear Carol,")
    expect_kept(page, "Dear Carol,")
    page.close()
    elsewhere = tab.open(f"{desk.url}/account")  # of the same origin, without the inbox
    elsewhere.evaluate(AN_HOUR_GOES_BY)
    save_elsewhere(alice, thread, "Dear Ms. Jones,")
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    expect(composer(page)).to_have_value("Dear Ms. Jones,")
    expect_kept(page)
    expect(composer(page)).to_have_value("Dear Ms. Jones,")


def test_a_sent_reply_is_no_draft_of_the_next_page(desk: Desk) -> None:
    thread = desk.write("Hello?")
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    kept(page, "Dear Carol,")
    page.evaluate(WITHOUT_ANSWERS)
    page.keyboard.press("Control+Enter")
    expect_kept(page, "")
    page.reload()
    expect(page.locator(".msg.us")).to_contain_text("Dear Carol,")
    expect_kept(page)
    expect(composer(page)).to_have_value("")


def test_a_text_that_is_too_long_is_kept_and_cannot_be_sent(desk: Desk) -> None:
    thread, tab = desk.write("Hello?"), desk.tab(desk.hire())
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    composer(page).fill("𝄞" * 10_000)  # each has two units of UTF-16
    expect(page.get_by_role("button", name="Send to")).to_be_enabled()
    too_long = "x" * 10_001
    with page.expect_response(lambda answer: answer.status == 400):
        composer(page).fill(too_long)
    expect(page.locator(".compose .kept")).to_have_text("Too long: at most 10,000 characters")
    expect(page.get_by_role("button", name="Send to")).to_be_disabled()
    expect_kept(page, too_long)
    page.reload()
    expect(composer(page)).to_have_value(too_long)
    tab.forgive("status of 400")


def test_a_message_that_the_server_refused_can_be_changed(desk: Desk) -> None:
    thread, tab = desk.write("Hello?"), desk.tab(desk.hire())
    tab.context.route("**/api/scheduled-messages", lambda route: route.fulfill(status=400, json={"detail": "No."}))
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    composer(page).fill("Dear Carol,")
    page.keyboard.press("Control+Enter")
    refused = page.locator(".msg.us", has_text="the server refused it")
    page.get_by_role("tab", name="Note").click()
    refused.get_by_role("button", name="Edit").click()
    expect(refused).to_have_count(0)
    expect(page.get_by_role("tab", name="Reply")).to_have_attribute("aria-selected", "true")
    expect(composer(page)).to_have_value("Dear Carol,")
    expect(composer(page)).to_be_focused()
    tab.forgive("status of 400")


def test_what_a_colleague_writes_in_the_same_browser_leaves_the_draft(desk: Desk) -> None:
    thread, alice, ben = desk.write("Hello?"), desk.hire(), desk.hire("Ben Carter")
    tab = desk.tab(alice)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    page.evaluate(WITHOUT_ANSWERS)
    composer(page).fill("Dear Carol,")
    expect_kept(page, "Dear Carol,")
    page.close()
    desk.sign_in(tab, ben)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    kept(page, "Hello Carol,")
    expect_kept(page, "Dear Carol,")
    expect(composer(page)).to_have_value("Hello Carol,")
    page.close()
    desk.sign_in(tab, alice)
    page = tab.open(f"{desk.url}/inbox/open/{thread}")
    expect(composer(page)).to_have_value("Dear Carol,")
