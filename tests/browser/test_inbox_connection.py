"""Without connection or session, the inbox loses nothing and sends nothing twice."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from harness.browser import Visit
from harness.inbox_desk import Desk, cut
from harness.late import first_of
from harness.shop import Shop
from harness.waiting import wait_until

SCHEDULED = "**/api/scheduled-messages"
IS_STORED = """() => new Promise(done => {
    const opening = indexedDB.open("shopbell-inbox")
    opening.onsuccess = () => {
        const kept = opening.result.transaction("kept").objectStore("kept")
        const messages = kept.count(IDBKeyRange.bound("queue:", "queue:~"))
        messages.onsuccess = () => { opening.result.close(); done(messages.result > 0) }
    }
})"""
A_DAY_GOES_BY = """() => new Promise(done => {
    const opening = indexedDB.open("shopbell-inbox")
    opening.onsuccess = () => {
        const change = opening.result.transaction("kept", "readwrite")
        const messages = change.objectStore("kept").openCursor(IDBKeyRange.bound("queue:", "queue:~"))
        messages.onsuccess = () => {
            const found = messages.result
            // As if the tab had been closed before it stored that it sent the message.
            found?.update({ ...found.value, attempts: 0, reason: null, createdAt: Date.now() - 24 * 3_600_000 })
            found?.continue()
        }
        change.oncomplete = () => { opening.result.close(); done() }
    }
})"""


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """Two stores of one organization."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def texts(desk: Desk, thread: str) -> list[str]:
    """The texts of a conversation, as the database has them."""
    return [str(each["body"]) for each in desk.shop.messages(thread)]


def write(page: Page, text: str) -> None:
    """Type a text into the composer."""
    page.locator(".compose textarea").fill(text)


def is_sent(page: Page, text: str) -> None:
    """Wait until a reply has been sent."""
    reply = page.locator(".msg.us", has_text=text)
    expect(reply).to_have_count(1)
    expect(reply.locator(".state").get_by_text("Sent", exact=True)).to_be_visible()


def is_stored(page: Page) -> None:
    """Wait until the browser has stored the message; until then, it asks before it closes the page."""
    wait_until(lambda: page.evaluate(IS_STORED), lambda: "the browser has not stored the message")


def try_again(page: Page) -> None:
    """Press the button, and only then let a request through: the page may have retried already."""
    held: list[Route] = []
    page.route(SCHEDULED, lambda route: held.append(route))
    page.get_by_role("button", name="Try again").click()
    first_of(held, page).continue_()


def test_a_message_whose_confirmation_is_lost_is_sent_once(desk: Desk) -> None:
    thread = desk.write("Hello?")
    visit = desk.tab(desk.hire())
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)  # the server has it, and the browser does not learn of that
        route.abort()

    page.route(SCHEDULED, lose)
    write(page, "Good morning!")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_have_count(1)
    is_sent(page, "Good morning!")
    assert lost == [200]
    assert texts(desk, thread) == ["Hello?", "Good morning!"]
    visit.forgive("ERR_FAILED")


def test_a_message_is_sent_before_the_browser_has_stored_it(desk: Desk) -> None:
    thread = desk.write("Hello?")
    visit = desk.tab(desk.hire())
    visit.context.add_init_script("IDBFactory.prototype.open = () => ({})")  # the storage never answers
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    write(page, "Good morning!")
    page.keyboard.press("Control+Enter")
    is_sent(page, "Good morning!")
    assert texts(desk, thread) == ["Hello?", "Good morning!"]


def test_the_browser_asks_before_a_message_is_lost_that_it_cannot_store(desk: Desk) -> None:
    thread = desk.write("Hello?")
    visit = desk.tab(desk.hire())
    visit.context.add_init_script("IDBFactory.prototype.open = () => ({})")  # the storage never answers
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    page.route(SCHEDULED, lambda route: route.abort())
    write(page, "Good morning!")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_contain_text("Not sent: no connection")
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    try_again(page)
    is_sent(page, "Good morning!")
    with page.expect_event("close"):
        page.close(run_before_unload=True)  # nothing is left to lose
    visit.forgive("ERR_FAILED")


def test_a_message_survives_a_tab_that_is_closed_without_a_connection(desk: Desk) -> None:
    thread = desk.write("Hello?")
    visit = desk.tab(desk.hire())
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".msg")).to_have_count(1)
    cut(page)
    write(page, "Good morning!")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_contain_text("Not sent: no connection")
    is_stored(page)
    page.close()
    visit.context.set_offline(False)
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    is_sent(page, "Good morning!")
    assert texts(desk, thread) == ["Hello?", "Good morning!"]
    visit.forgive("ERR_INTERNET_DISCONNECTED")


def test_a_message_that_may_have_been_sent_is_not_sent_again_after_a_day(desk: Desk) -> None:
    thread = desk.write("Hello?")
    visit = desk.tab(desk.hire())
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    page.route(SCHEDULED, lambda route: route.abort())
    write(page, "Good morning!")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_contain_text("Not sent: no connection")
    is_stored(page)
    page.close()
    elsewhere = visit.open(f"{desk.url}/account")  # of the same origin, without the inbox
    elsewhere.evaluate(A_DAY_GOES_BY)
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".msg.us")).to_contain_text("Not sent: it is too old; check whether it arrived")
    assert texts(desk, thread) == ["Hello?"]
    visit.forgive("ERR_FAILED")


def test_a_part_of_the_page_that_could_not_be_loaded_can_be_opened_later(desk: Desk) -> None:
    visit = desk.tab(desk.hire())
    page = visit.open(f"{desk.url}/inbox")
    expect(page.locator(".list h2")).to_be_visible()
    visit.context.route("**/Dialogs-*", lambda route: route.abort())
    page.keyboard.press("Control+k")
    expect(page.locator(".toast")).to_contain_text("Please try again.")
    visit.context.unroute("**/Dialogs-*")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search and commands")).to_be_focused()
    visit.forgive("ERR_FAILED")


def test_what_is_sent_without_a_connection_survives_a_reload(desk: Desk) -> None:
    thread = desk.write("Hello?")
    visit = desk.tab(desk.hire())
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    page.route(SCHEDULED, lambda route: route.abort())
    write(page, "Good morning!")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_contain_text("Not sent: no connection")
    is_stored(page)
    page.reload()
    expect(page.locator(".msg.us", has_text="Good morning!")).to_contain_text("Not sent: no connection")
    assert texts(desk, thread) == ["Hello?"]
    try_again(page)
    is_sent(page, "Good morning!")
    assert texts(desk, thread) == ["Hello?", "Good morning!"]
    visit.forgive("ERR_FAILED")


def test_after_a_cut_nothing_is_missing_and_nothing_is_there_twice(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("One", email=email)
    visit = desk.tab(desk.hire())
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".msg")).to_have_count(1)
    cut(page)
    for text in ("Two", "Three"):
        desk.write(text, email=email)
    write(page, "Four")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.us")).to_contain_text("Four")
    visit.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator(".msg:not(.us) .text")).to_have_text(["One", "Two", "Three"])
    is_sent(page, "Four")
    assert texts(desk, thread) == ["One", "Two", "Three", "Four"]
    visit.forgive("ERR_INTERNET_DISCONNECTED")


def test_an_ended_session_keeps_the_draft(desk: Desk) -> None:
    thread = desk.write("Hello?")
    alice = desk.hire()
    visit = desk.tab(alice)
    page = visit.open(f"{desk.url}/inbox/open/{thread}")
    expect(page.locator(".compose textarea")).to_be_visible()
    write(page, "Dear Carol")
    visit.context.clear_cookies()  # before the employee pauses, so that the draft is not saved yet
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    alice.browser.sign_in(alice.email)
    desk.sign_in(visit, alice)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".compose textarea")).to_have_value("Dear Carol")
    expect(page.get_by_text("Draft kept")).to_be_visible()
    page.reload()
    expect(page.locator(".compose textarea")).to_have_value("Dear Carol")
    visit.forgive("status of 401")
